"""What all labellers share that give a patch the words whose vectors are nearest to it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from diglot.config.ranges import PositiveInt, check_ranges
from diglot.config.read import expand_home
from diglot.data.records import Dataset
from diglot.data.rejected import Rejected
from diglot.synth.patch_labels.calibration import fit_calibration
from diglot.synth.patch_labels.usable import first_usable
from diglot.synth.patch_labels.word_labeller import WordLabeller
from diglot.synth.words.listed import Listed
from diglot.synth.words.word_list import read_word_list

CALIBRATION_IMAGES = 64
OneView = Literal["squash", "center_crop", "pad"]


@dataclass(frozen=True, kw_only=True)
class NearestWordsConfig:
    """Options of a labeller by word vectors."""

    words: str | None = None
    """Word list of `diglot words`."""
    keep: PositiveInt = 10
    """n, so many words of a patch are kept."""
    sign: Literal["auto", 1, -1] = "auto"
    """auto = what agrees better with known regions, else the paper's: -1 for CLIP, +1 else."""
    centre: bool = False
    """Take the mean patch of the first images and the mean word off before the cosine. Not in the
    paper; with the embedded encoder a right label is drawn more often."""
    preprocess: OneView = "squash"
    """How an image becomes the labelled patches; where a stage prepares images so too, its patches
    are the labelled ones (`diglot label --like RECIPE`)."""

    def __post_init__(self) -> None:
        check_ranges(self, where="labeller")
        expand_home(self, *{"words", "path"}.intersection(vars(self)))


def read_words(config: NearestWordsConfig) -> Listed | None:
    """The word list, if one is given. Raises ConfigError where it cannot be read."""
    return None if config.words is None else Listed(read_word_list(Path(config.words)))


def calibrate_labeller(
    labeller: WordLabeller,
    config: NearestWordsConfig,
    dataset: Dataset,
    folder: Path,
    rejected: Rejected,
) -> WordLabeller:
    """The labeller with centre and sign as its options say, learned from the first images."""
    fit_calibration(
        labeller,
        folder,
        lambda: first_usable(dataset, CALIBRATION_IMAGES, rejected),
        sign=None if config.sign == "auto" else int(config.sign),
        centre=config.centre,
    )
    return labeller
