"""SSD-MobileNetV3-Large on the CPU through OpenCV: COCO's 80 kinds, and phrases that mean them.

A closed vocabulary: a phrase is looked up by its last noun ("the old man" is a person, by
`coco_words.txt`); a phrase that means none of the kinds is never found.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from PIL import Image

from diglot.config.ranges import ClosedUnitInterval
from diglot.core.errors import ConfigError
from diglot.embedded.ssd_mobilenet import ASSET, GRAPH, LABELS, LAYERS, ssd_mobilenet_folder
from diglot.synth.annotator import Detection
from diglot.synth.phrases.inflection import base_form
from diglot.synth.phrases.tables import read_words
from diglot.synth.phrases.words import split_words

INPUT_PX, SCALE, MEAN = 320, 1 / 127.5, 127.5  # what the graph was trained with


@dataclass(frozen=True, kw_only=True)
class Config:
    """Options of the detector."""

    threshold: ClosedUnitInterval = 0.4
    """Least score of a box, in [0, 1]. Ours."""
    nms_iou: ClosedUnitInterval = 0.45
    """Boxes of a class that overlap a better one by more are removed by the detector. Ours."""


class SsdMobilenet:
    """Detections of COCO's kinds; one picture at a time, as OpenCV takes them."""

    model = ASSET.name
    revision = ASSET.sha256[:16]

    def __init__(self, config: Config) -> None:
        self._config = config
        folder = ssd_mobilenet_folder()
        self.labels = (folder / LABELS).read_text("utf-8").split("\n")
        self._cv2 = import_opencv()
        self._net = self._cv2.dnn.DetectionModel(str(folder / GRAPH), str(folder / LAYERS))
        self._net.setInputParams(SCALE, (INPUT_PX, INPUT_PX), (MEAN, MEAN, MEAN), True)

    def detect_objects(
        self, pictures: Sequence[Image.Image], phrases: Sequence[Sequence[str]]
    ) -> list[list[Detection]]:
        """Boxes of the phrases that mean a kind; of all kinds for a picture without phrases."""
        return [self._detect(p, words) for p, words in zip(pictures, phrases, strict=True)]

    def _detect(self, picture: Image.Image, phrases: Sequence[str]) -> list[Detection]:
        bgr_HW3 = np.ascontiguousarray(np.asarray(picture)[:, :, ::-1])
        classes, scores, boxes = self._net.detect(
            bgr_HW3, self._config.threshold, self._config.nms_iou
        )
        found = [
            Detection(
                box=_as_xyxy(box), score=min(float(score), 1.0), label=self.labels[int(number) - 1]
            )
            for number, score, box in zip(classes, scores, boxes, strict=True)
        ]
        return _for_phrases(found, phrases) if phrases else found


def _as_xyxy(box: Sequence[int]) -> tuple[float, float, float, float]:
    x, y, width, height = map(float, box)
    return x, y, x + width, y + height


def _for_phrases(found: Sequence[Detection], phrases: Sequence[str]) -> list[Detection]:
    """Each detection once for every phrase that means its kind."""
    return [
        Detection(box=d.box, score=d.score, label=d.label, phrase=index)
        for index, phrase in enumerate(phrases)
        for d in found
        if d.label == kind_of(phrase)
    ]


def kind_of(phrase: str) -> str | None:
    """COCO's name for what a phrase means by its last noun, or None."""
    words = [word for word in split_words(phrase) if word.kind != "possessive"]
    beside = frozenset(read_words("beside noun phrases"))
    determiners = frozenset(read_words("determiners"))
    bases: list[str] = []
    for word in words:
        if word.folded in determiners:
            continue
        if word.folded in beside and bases:
            break  # "man" in "man in a red hat"
        bases.append(base_form(word.folded))
    kinds = _coco_kinds()
    endings = (" ".join(bases[start:]) for start in range(len(bases)))
    return next((kinds[ending] for ending in endings if ending in kinds), None)


@cache
def _coco_kinds() -> dict[str, str]:
    """Base forms of words to COCO's names."""
    text = files("diglot.synth.annotators").joinpath("coco_words.txt").read_text("utf-8")
    found = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, _, words = line.partition(":")
            for word in (name, *filter(None, map(str.strip, words.split(",")))):
                found[" ".join(base_form(w) for w in word.split())] = name
    return found


def import_opencv() -> Any:
    """The module cv2. Raises ConfigError where it is not installed."""
    try:
        import cv2
    except ImportError as error:
        raise ConfigError(
            "OpenCV is needed for this annotator", fix='Install it: pip install "diglot[synth]".'
        ) from error
    return cv2


def build(config: Config) -> SsdMobilenet:
    """The detector with its weights, fetched on demand."""
    return SsdMobilenet(config)
