"""Annotators by arithmetic on the pictures' pixels: fast, exact, and wrong where a test wants it.

Parts of a user's own: named in recipes by their dotted path. What a picture is to do stands in its
top left pixel: see FAULTS.
"""

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from diglot.core.errors import ConfigError, DataError
from diglot.synth.annotator import Detection

NAN_BOX, RAISES, RUBBISH, KILLS, FATAL, DEVICE = 1, 2, 3, 4, 5, 6
FAULT_BLUE = 137  # of a top left pixel whose red is the fault


def fault_of(picture: Image.Image) -> int:
    red, _, blue = picture.getpixel((0, 0))  # type: ignore[misc]
    return red if blue == FAULT_BLUE else 0


@dataclass(frozen=True, kw_only=True)
class Config:
    revision: str = "first"
    seconds: float = 0.0
    log: str = ""
    """Append the number of pictures of each call to this file."""
    pids: str = ""
    """Append the ids of the process and of its parent to this file, when built."""


class ToyDetector:
    """One box for each phrase, from the picture's mean colour."""

    model = "toy"

    def __init__(self, config: Config) -> None:
        self._config, self.revision = config, config.revision
        if config.pids:
            with open(config.pids, "a") as file:
                file.write(f"{os.getpid()} {os.getppid()}\n")

    def detect_objects(
        self, pictures: Sequence[Image.Image], phrases: Sequence[Sequence[str]]
    ) -> list[list[Detection]]:
        time.sleep(self._config.seconds * len(pictures))
        if self._config.log:
            with open(self._config.log, "a") as file:
                file.write(f"{len(pictures)}\n")
        return [self._detect(p, words) for p, words in zip(pictures, phrases, strict=True)]

    def _detect(self, picture: Image.Image, phrases: Sequence[str]) -> list[Detection]:
        fault = fault_of(picture)
        _misbehave(fault)
        width, height = picture.size
        mean = float(np.asarray(picture, np.float64).mean())
        boxes = [
            (index, (width * 0.1 * index, 1.0, width * (0.1 * index + 0.3), height - mean / 64))
            for index in range(max(1, len(phrases)))
        ]
        if fault == NAN_BOX:
            boxes[0] = (0, (float("nan"), 0.0, 5.0, 5.0))
        return [
            Detection(
                box=box,
                score=0.5 + mean / 600,
                label=phrases[i] if phrases else "thing",
                phrase=i if phrases else None,
            )
            for i, box in boxes
        ]

    def segment_boxes(
        self, pictures: Sequence[Image.Image], boxes: Sequence[np.ndarray]
    ) -> list[list[tuple[np.ndarray, float]]]:
        return [
            [(_filled(picture, box), 1.0) for box in boxes_R4]
            for picture, boxes_R4 in zip(pictures, boxes, strict=True)
        ]


def _misbehave(fault: int) -> None:
    if fault == RAISES:
        raise DataError("the toy does not like this picture")
    if fault == RUBBISH:
        raise IndexError("list index out of range")
    if fault == KILLS:
        os.kill(os.getpid(), signal.SIGKILL)
    if fault == DEVICE:
        raise RuntimeError("CUDA error: device-side assert triggered")
    if fault == FATAL:
        raise ConfigError("the toy's server is gone")


def _filled(picture: Image.Image, box: np.ndarray) -> np.ndarray:
    mask_HW = np.zeros(picture.size[::-1], bool)
    x0, y0, x1, y1 = np.ceil(box).astype(int)
    mask_HW[y0:y1, x0:x1] = True
    return mask_HW


def build(config: Config) -> ToyDetector:
    return ToyDetector(config)


NAME = __name__


def write_pictures(folder: Path, count: int, *, faults: dict[int, int] | None = None) -> None:
    """Small pictures with captions beside them; `faults`: index to what goes wrong."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        rng = np.random.default_rng(index)
        pixels = rng.integers(0, 255, (24 + index % 3, 32, 3), dtype=np.uint8)
        pixels[0, 0] = (
            (faults or {}).get(index, 0),
            0,
            FAULT_BLUE if index in (faults or {}) else 0,
        )
        Image.fromarray(pixels).save(folder / f"{index:04d}.png")
        (folder / f"{index:04d}.txt").write_text(f"A red dog and a cat number {index}.")


TOY_STEPS = {
    "entities": {"annotator": {"name": "spacy_phrases"}, "not_objects": ""},
    "boxes": {"annotator": {"name": NAME}, "batch": 3},
    "nms": {"iou": 0.9},
    "masks": {"annotator": {"name": NAME}},
    "small": {"step": "filters", "min_mask_share": 0.01, "min_regions": 1},
    "spans": {},
}
QUICK_STEPS = {name: step for name, step in TOY_STEPS.items() if name != "entities"}


def digest_output(folder: Path) -> dict[str, bytes]:
    """Name and bytes of everything that a run's output says, but times."""
    return {
        path.name: path.read_bytes()
        for path in sorted(folder.iterdir())
        if path.suffix in (".parquet", ".jsonl")
    }
