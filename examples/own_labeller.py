"""A labeller of your own: the name of a patch's colour, the nearest of a few.

Copy it, change `name_colours`, and name it by its dotted path, run from the folder above:

    diglot label data/scenes --labeller examples.own_labeller --out data/colours
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from diglot.config.ranges import PositiveInt
from diglot.core.preprocess import Preprocess
from diglot.core.progress import Report
from diglot.core.types import Sample
from diglot.data.records import Dataset
from diglot.data.rejected import Rejected
from diglot.synth.patch_labels.labeller import PatchWords

COLOURS = {"red": (200, 30, 30), "green": (30, 160, 60), "blue": (40, 60, 200), "white": (240,) * 3}


@dataclass(frozen=True, kw_only=True)
class Config:
    """Its options."""

    patch_px: PositiveInt = 28
    """Side of a patch."""
    side: PositiveInt = 8
    """Patches in a row; the image is squashed to a square of them."""


class ColourLabeller:
    """One word a patch; its score falls with the distance from the colour."""

    def __init__(self, config: Config) -> None:
        self.words = sorted(COLOURS)
        self.patch_px = config.patch_px
        self.preprocess = Preprocess(image_px=config.side * config.patch_px)
        self.about = {"labeller": "colours", "patch_px": config.patch_px, "side": config.side}
        self._side = config.side

    def label(self, samples: Sequence[Sample], pictures: Sequence[Image.Image]) -> list[PatchWords]:
        """The labels of several images, patches in reading order."""
        return [self.name_colours(picture) for picture in pictures]

    def name_colours(self, picture: Image.Image) -> PatchWords:
        """The nearest colour of every patch."""
        small = picture.convert("RGB").resize((self._side, self._side), Image.Resampling.BOX)
        colour_P3 = np.asarray(small, np.float32).reshape(-1, 3)
        known_W3 = np.array([COLOURS[word] for word in self.words], np.float32)
        # the distance of every patch to every colour, as a share of the largest there can be
        far_PW = np.linalg.norm(colour_P3[:, None] - known_W3, axis=2) / np.linalg.norm([255] * 3)
        best_P = far_PW.argmin(axis=1)
        return PatchWords(
            [[int(word)] for word in best_P],
            [[float(1 - far_PW[patch, word])] for patch, word in enumerate(best_P)],
        )


def build(
    config: Config, *, dataset: Dataset, folder: Path, rejected: Rejected, report: Report
) -> ColourLabeller:
    """What diglot calls. A labeller that learns from the dataset first would do it here."""
    return ColourLabeller(config)
