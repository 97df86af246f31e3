"""A labeller by arithmetic, a user's own part: wrong where a picture's first pixel says so."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from tests.synth.pipeline.toy_annotators import _misbehave, fault_of

from diglot.core.preprocess import Preprocess
from diglot.synth.patch_labels.labeller import PatchWords

NAME = __name__
WORDS = ("dark", "grey", "bright")
SIDE = 4


@dataclass(frozen=True, kw_only=True)
class Config:
    seconds: float = 0.0
    fails: bool = False
    """On every image."""


class ToyLabeller:
    """The three words of each patch, by how bright it is."""

    words, patch_px = WORDS, 8
    preprocess = Preprocess(image_px=SIDE * 8)

    def __init__(self, config: Config) -> None:
        self.about = {"labeller": "toy"}
        self._config = config

    def label(self, samples: Sequence, pictures: Sequence[Image.Image]) -> list[PatchWords]:
        time.sleep(self._config.seconds * len(pictures))
        return [self._label(picture) for picture in pictures]

    def _label(self, picture: Image.Image) -> PatchWords:
        _misbehave(fault_of(picture))
        if self._config.fails:
            raise IndexError("list index out of range")
        small = picture.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
        bright_P = np.asarray(small, np.float64).reshape(-1) / 255
        far_PW = np.abs(bright_P[:, None] - np.array([0.0, 0.5, 1.0]))
        order_PW = far_PW.argsort(axis=1, kind="stable")
        return PatchWords(order_PW.tolist(), (1 - np.take_along_axis(far_PW, order_PW, 1)).tolist())


def build(
    config: Config, *, dataset: object, folder: Path, rejected: object, report: object
) -> ToyLabeller:
    return ToyLabeller(config)
