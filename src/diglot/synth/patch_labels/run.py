"""Labelling a dataset, shard by shard; a run that was killed resumes, a bad image is rejected."""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from PIL import Image

from diglot.core.errors import ConfigError
from diglot.core.progress import Progress, Report
from diglot.core.types import Sample
from diglot.data.features import sample_picture
from diglot.data.labels import LabelWriter
from diglot.data.records import Dataset
from diglot.data.rejected import Rejected, Rejection
from diglot.data.samples import usable_samples, use_sample
from diglot.synth.patch_labels.labeller import Labeller, PatchWords

BATCH_IMAGES = 8
Usable = tuple[Sample, Image.Image]


def label_dataset(
    dataset: Dataset,
    labeller: Labeller,
    folder: Path,
    rejected: Rejected,
    report: Report,
) -> None:
    """Write the labels of every sample into `folder`. Progress counts images."""
    settings = {"preprocess": labeller.preprocess, "patch_px": labeller.patch_px}
    writer = LabelWriter(folder, dataset, words=labeller.words, about=labeller.about, **settings)
    with writer:
        report(Progress("images", writer.done, len(dataset)))
        while writer.done < len(dataset):
            batch = range(writer.done, min(writer.done + BATCH_IMAGES, len(dataset)))
            opened = [read_usable(dataset, index, rejected) for index in batch]
            for words in _label_batch(labeller, opened):
                writer.add(words.words, words.scores)
            report(Progress("images", writer.done, len(dataset)))


def read_usable(dataset: Dataset, index: int, rejected: Rejected) -> Usable | None:
    """A sample and its picture; None, and the reason noted, where they cannot be read."""
    found = use_sample(dataset, index, _with_picture)
    if isinstance(found, Rejection):
        rejected.note(found)
        return None
    return found


def _with_picture(sample: Sample) -> Usable:
    return sample, sample_picture(sample)


def first_usable(dataset: Dataset, count: int, rejected: Rejected) -> list[Usable]:
    """The first samples that can be read. Raises ConfigError where none of many can."""
    tried = range(min(2 * count, len(dataset)))
    opened = usable_samples(dataset, _with_picture, rejected.note, indices=tried)
    found = [one for _, one in islice(opened, count)]
    if not found:
        raise ConfigError(
            "no image of the dataset can be read",
            where=str(dataset.folder),
            fix=f"The reasons are in {rejected.path}.",
        )
    return found


def _label_batch(labeller: Labeller, opened: Sequence[Usable | None]) -> list[PatchWords]:
    there = [one for one in opened if one is not None]
    samples, pictures = [s for s, _ in there], [p for _, p in there]
    made = iter(labeller.label(samples, pictures) if there else [])
    return [PatchWords([], []) if one is None else next(made) for one in opened]
