"""An annotator that costs what it is asked to: to see what the synthesis pipeline itself costs."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from diglot.synth.annotator import Detection


@dataclass(frozen=True, kw_only=True)
class Config:
    """Options."""

    seconds: float = 0.0
    """For each picture; the processor is idle meanwhile, as it is while a GPU works."""


class Trivial:
    """A box for every picture, always the same."""

    model = "trivial"
    revision = "1"

    def __init__(self, config: Config) -> None:
        self._seconds = config.seconds

    def detect_objects(
        self, pictures: Sequence[Image.Image], phrases: Sequence[Sequence[str]]
    ) -> list[list[Detection]]:
        """One box, the picture's upper left quarter."""
        time.sleep(self._seconds * len(pictures))
        return [
            [Detection(box=(0.0, 0.0, p.width / 2, p.height / 2), score=0.9, label="thing")]
            for p in pictures
        ]


def build(config: Config) -> Trivial:
    """The annotator."""
    return Trivial(config)
