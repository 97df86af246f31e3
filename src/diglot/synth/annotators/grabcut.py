"""GrabCut: a mask from a box by colour alone, without weights (OpenCV)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from diglot.config.ranges import ImagePx, PositiveInt
from diglot.synth.annotators.ssd_mobilenet import import_opencv


@dataclass(frozen=True, kw_only=True)
class Config:
    """Options of the segmenter."""

    iterations: PositiveInt = 3
    """Rounds of GrabCut."""
    max_px: ImagePx = 384
    """The picture's longer side while it is cut; the mask is scaled back."""


class GrabCut:
    """Masks by the colours inside and outside each box."""

    model = "grabcut"

    def __init__(self, config: Config) -> None:
        self._config, self._cv2 = config, import_opencv()
        self.revision = f"opencv {self._cv2.__version__}"

    def segment_boxes(
        self, pictures: Sequence[Image.Image], boxes: Sequence[np.ndarray]
    ) -> list[list[tuple[np.ndarray, float]]]:
        """A mask for each box (xyxy px), bool (height, width); all are as sure as 1."""
        return [
            [(self._cut(picture, box), 1.0) for box in boxes_R4]
            for picture, boxes_R4 in zip(pictures, boxes, strict=True)
        ]

    def _cut(self, picture: Image.Image, box: np.ndarray) -> np.ndarray:
        scale = min(1.0, self._config.max_px / max(picture.size))
        size = [max(2, round(side * scale)) for side in picture.size]
        bgr_HW3 = np.ascontiguousarray(np.asarray(picture.resize(size))[:, :, ::-1])
        x0, y0, x1, y1 = _on_pixels(box * scale, size)
        mask_HW = np.zeros(bgr_HW3.shape[:2], np.uint8)
        if (x1 - x0, y1 - y0) == tuple(size):  # no background to learn from
            return np.ones(picture.size[::-1], bool)
        self._cv2.setRNGSeed(0)  # its mixture of colours starts at random
        models = np.zeros((1, 65)), np.zeros((1, 65))
        self._cv2.grabCut(
            bgr_HW3,
            mask_HW,
            (x0, y0, x1 - x0, y1 - y0),
            *models,
            self._config.iterations,
            self._cv2.GC_INIT_WITH_RECT,
        )
        inside = (mask_HW == self._cv2.GC_FGD) | (mask_HW == self._cv2.GC_PR_FGD)
        return np.asarray(Image.fromarray(inside).resize(picture.size)).astype(bool)


def _on_pixels(box: np.ndarray, size: Sequence[int]) -> tuple[int, int, int, int]:
    """Whole pixels around a box, at least 1 x 1, within the picture's (width, height)."""
    x0, y0 = (int(min(max(v, 0), side - 1)) for v, side in zip(box[:2], size, strict=True))
    x1, y1 = (int(min(np.ceil(v), side)) for v, side in zip(box[2:], size, strict=True))
    return x0, y0, max(x1, x0 + 1), max(y1, y0 + 1)


def build(config: Config) -> GrabCut:
    """A segmenter that needs no weights: OpenCV's GrabCut within each box."""
    return GrabCut(config)
