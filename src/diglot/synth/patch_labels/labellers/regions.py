"""Labels from the regions that the records know: a perfect labeller's stand-in, an upper bound.

No model is run. A patch that a region covers by half or more, by its mask or else its box, has
the region's name, with the covered share as its score; so its labels are as good as the records.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from diglot.config.ranges import PositiveInt, check_ranges
from diglot.core.errors import ConfigError
from diglot.core.preprocess import Preprocess
from diglot.core.progress import Report
from diglot.core.region_cover import region_cover
from diglot.core.types import Sample
from diglot.data.records import Dataset
from diglot.data.rejected import Rejected
from diglot.synth.patch_labels.labeller import PatchWords
from diglot.synth.patch_labels.labellers._nearest_words import OneView

COVER = 0.5  # as Patch-aligned training lays masks on the grid


@dataclass(frozen=True, kw_only=True)
class Config:
    """Options of the labeller."""

    keep: PositiveInt = 10
    """So many names of a patch are kept, those that cover most of it."""
    preprocess: OneView = "squash"
    """How an image becomes the labelled patches."""

    def __post_init__(self) -> None:
        check_ranges(self, where="labeller")


def build(
    config: Config, *, dataset: Dataset, folder: Path, rejected: Rejected, report: Report
) -> "RegionLabeller":
    """The labeller. Raises ConfigError where no region of the dataset has a name."""
    return RegionLabeller(dataset, keep=config.keep, mode=config.preprocess)


class RegionLabeller:
    """The names of known regions, on a square grid over the image."""

    def __init__(
        self, dataset: Dataset, *, keep: int, side: int = 16, mode: OneView = "squash"
    ) -> None:
        self.keep = keep
        names = {name for labels in dataset.labels for name in labels if name}
        if not names:
            raise ConfigError(
                "no region of the dataset has a label",
                where=str(dataset.folder),
                fix="Choose another labeller.",
            )
        self.words = sorted(names)
        self._number = {word: number for number, word in enumerate(self.words)}
        self.patch_px = 28
        self.preprocess = Preprocess(mode=mode, image_px=side * self.patch_px)
        self.about: dict[str, Any] = {"labeller": "regions", "cover": COVER, "keep": keep}

    def label(self, samples: Sequence[Sample], pictures: Sequence[Image.Image]) -> list[PatchWords]:
        """The names of the regions that cover each patch; a region without a label gives none."""
        return [self._label_sample(sample) for sample in samples]

    def _label_sample(self, sample: Sample) -> PatchWords:
        grid = self.preprocess.token_grid(sample.size_hw, patch_px=self.patch_px)
        best_P: list[dict[int, float]] = [{} for _ in range(len(grid))]
        for region in sample.regions:
            number = self._number.get(region.label or "")
            if number is None:
                continue
            cover_P = region_cover(region, grid)
            for patch in np.flatnonzero(cover_P >= COVER):
                known = best_P[patch].get(number, 0.0)
                best_P[patch][number] = max(known, float(cover_P[patch]))
        ranked = [sorted(d.items(), key=lambda pair: (-pair[1], pair[0])) for d in best_P]
        kept = [pairs[: self.keep] for pairs in ranked]
        return PatchWords(
            [[number for number, _ in pairs] for pairs in kept],
            [[score for _, score in pairs] for pairs in kept],
        )
