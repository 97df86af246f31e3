"""Which labeller labels the patches, with its options."""

from diglot.config.parts import Part


class LabellerPart(Part):
    """A labeller: a file of synth/patch_labels/labellers, or a module of the user's.

    Its `build(config, *, dataset, folder, rejected, report)` gives a `Labeller`; `folder` is that
    of the labels, where it may keep files (each worker process builds one of its own: what is
    learned of the dataset is learned once and kept there), and `report` takes the progress of what
    it makes first.
    """

    package = "diglot.synth.patch_labels.labellers"
    where = "labeller"
