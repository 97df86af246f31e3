"""A labeller of an image and a text tower in one checkpoint of `transformers`."""

from dataclasses import dataclass
from pathlib import Path

from diglot.core.errors import ConfigError
from diglot.core.progress import Report
from diglot.data.records import Dataset
from diglot.data.rejected import Rejected
from diglot.synth.device import find_device
from diglot.synth.patch_labels.labellers._nearest_words import (
    NearestWordsConfig,
    calibrate_labeller,
    read_words,
)
from diglot.synth.patch_labels.towers import Family, Patch, load_towers
from diglot.synth.patch_labels.word_labeller import WordLabeller
from diglot.synth.patch_labels.word_vectors import WordVectors


@dataclass(frozen=True, kw_only=True)
class TowersConfig(NearestWordsConfig):
    """Options of a labeller by a checkpoint; it needs `path` and `words`."""

    path: str | None = None
    """The checkpoint: a local folder or a hub id; for siglip also "embedded_tower"."""
    revision: str | None = None
    """Git revision of a hub id."""
    patch: Patch = "token"
    """token = a patch's token of the last layer; value = its value there, attention left out
    (MaskCLIP)."""
    template: str = "{}"
    """Text around a word for the text tower, where {} stands."""


def label_by_towers(
    family: Family,
    config: TowersConfig,
    dataset: Dataset,
    folder: Path,
    rejected: Rejected,
    report: Report,
) -> WordLabeller:
    """The labeller; the vectors of all words are kept in `folder`.

    Raises ConfigError without checkpoint or words, or for a checkpoint of another family.
    """
    listed, path = read_words(config), config.path
    if listed is None or path is None:
        raise ConfigError(
            f"{family} needs a checkpoint and a word list",
            where="labeller.path, labeller.words",
            fix="Make a list: diglot words.",
        )
    towers = load_towers(
        family, path, revision=config.revision, template=config.template, patch=config.patch
    )
    towers.model.to(find_device())
    key = f"{path} {config.revision} {towers.encoder.revision} {config.template}"
    key += " lower-cased" if towers.lower_case else ""
    vectors = WordVectors(folder / "vectors", listed, towers.width, key=key)
    vectors.build(towers.words, report)
    about = {"labeller": family, "path": path, "revision": towers.encoder.revision}
    about |= {"template": config.template, "patch": config.patch, "keep": config.keep}
    about |= {"text": "lower-cased"} if towers.lower_case else {}
    labeller = WordLabeller(
        encoder=towers.encoder,
        patches=towers.patches,
        words=listed,
        pieces=lambda: vectors.pieces(towers.device),
        keep=config.keep,
        mode=config.preprocess,
        sign=1,
        about=about,
    )
    return calibrate_labeller(labeller, config, dataset, folder, rejected)
