"""Step: of boxes that overlap, the best is kept (non-maximum suppression).

Patch-aligned section 4 (PAD) suppresses over all tags; the paper gives no threshold, 0.5 is ours.
MMCS has no such step: across phrases it would remove "dog" beside "small dog".
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from pycocotools import mask as coco

from diglot.core.errors import ConfigError
from diglot.core.types import Box, Lineage, Region
from diglot.synth.step import Draft, Dropped, LostRegion


@dataclass(frozen=True, kw_only=True)
class Config:
    """Options of the step."""

    iou: float = 0.5
    """A box that overlaps a better one by more than this is removed. In no paper."""
    class_agnostic: bool = True
    """Across all labels; else only boxes of the same label compete."""

    def __post_init__(self) -> None:
        if not 0 < self.iou <= 1:
            raise ConfigError("no overlap", expected="0 < iou <= 1", got=self.iou, where="nms.iou")


class NmsStep:
    """Non-maximum suppression by score; equal scores keep the first."""

    def __init__(self, config: Config) -> None:
        self._config = config
        kind = "class-agnostic" if config.class_agnostic else "per label"
        self.lineage = Lineage(step="nms", revision=f"{kind}, IoU {config.iou}")

    def __call__(self, drafts: Iterator[Draft]) -> Iterator[Draft | Dropped]:
        """Drafts with the regions that remain, in their order."""
        for draft in drafts:
            yield self._suppress(draft)

    def _suppress(self, draft: Draft) -> Draft:
        regions = draft.sample.regions
        kept: list[int] = []
        for index in sorted(range(len(regions)), key=lambda i: -regions[i].score):
            if not any(self._overlap(regions[index], regions[other]) for other in kept):
                kept.append(index)
        lost = [
            LostRegion(
                reason="it overlaps a better box",
                phrase=region.phrase,
                box=region.box,
                score=region.score,
            )
            for index, region in enumerate(regions)
            if index not in kept
        ]
        return draft.keep_regions([regions[index] for index in sorted(kept)], lost)

    def _overlap(self, region: Region, better: Region) -> bool:
        if not self._config.class_agnostic and region.name != better.name:
            return False
        return box_iou(region.box, better.box) > self._config.iou


def box_iou(first: Box, second: Box) -> float:
    """Intersection over union of two xyxy boxes, in [0, 1]."""
    x0, y0, x1, y1 = np.array([first, second], np.float64).T
    xywh_24: Any = np.stack([x0, y0, x1 - x0, y1 - y0], axis=1)  # as pycocotools has them
    iou_11: Any = coco.iou(xywh_24[:1], xywh_24[1:], [0])
    return float(iou_11[0, 0])


def build(config: Config) -> NmsStep:
    """The step that keeps one of several boxes on the same object."""
    return NmsStep(config)
