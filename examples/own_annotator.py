"""An annotator of your own: a detector that finds what differs from the picture's border.

Copy it, change `detect_objects`, and name it by its dotted path, run from the folder above:

    diglot synth photos ... --steps.boxes.annotator examples.own_annotator
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from diglot.config.ranges import ClosedUnitInterval
from diglot.synth.annotator import Detection


@dataclass(frozen=True, kw_only=True)
class Config:
    """Its options."""

    least_difference: ClosedUnitInterval = 0.2
    """Pixels belong to the object from this mean difference of colour on, in [0, 1]."""


class Foreground:
    """One box around all that is of another colour than the border."""

    model, revision = "foreground", "1"  # noted in every sample that it helped to make

    def __init__(self, config: Config) -> None:
        self._config = config

    def detect_objects(
        self, pictures: Sequence[Image.Image], phrases: Sequence[Sequence[str]]
    ) -> list[list[Detection]]:
        """For each picture one box, taken for its first phrase; none where nothing differs."""
        found = [self._find_box(np.asarray(picture) / 255.0) for picture in pictures]
        return [
            [Detection(box=box, score=1.0, label=asked[0], phrase=0)] if box and asked else []
            for box, asked in zip(found, phrases, strict=True)
        ]

    def _find_box(self, pixels_HW3: np.ndarray) -> tuple[float, float, float, float] | None:
        """xyxy px of what differs from the border's median colour."""
        border = np.concatenate([pixels_HW3[[0, -1]].reshape(-1, 3), pixels_HW3[:, 0]])
        difference_HW = np.abs(pixels_HW3 - np.median(border, axis=0)).mean(axis=-1)
        rows, columns = np.nonzero(difference_HW >= self._config.least_difference)
        if not len(rows):
            return None
        left, top, right, bottom = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        return float(left), float(top), float(right), float(bottom)


def build(config: Config) -> Foreground:
    """What diglot calls."""
    return Foreground(config)
