"""Step: a mask for each region, from its box.

MMCS section 3.3 takes SAM 2.1, PAD (Patch-aligned section 4) SAM 1; both prompted with the box.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from diglot.config.ranges import PositiveInt
from diglot.core import masks
from diglot.core.errors import DataError
from diglot.core.types import Lineage, Region
from diglot.synth.annotator import Part, Segmenter, build_annotator, lineage_of
from diglot.synth.step import Draft, Dropped, LostRegion, work_in_batches


@dataclass(frozen=True, kw_only=True)
class Config:
    """Options of the step."""

    annotator: Part
    """The segmenter: sam, mobilesam, grabcut."""
    batch: PositiveInt = 4
    """Images at a time."""


class MasksStep:
    """A mask for every region; a region whose mask is empty or not usable is lost."""

    def __init__(self, config: Config, segmenter: Segmenter, lineage: Lineage) -> None:
        self._config, self._segmenter, self.lineage = config, segmenter, lineage

    def __call__(self, drafts: Iterator[Draft]) -> Iterator[Draft | Dropped]:
        """Drafts whose regions have masks."""
        return work_in_batches(drafts, self._segment, size=self._config.batch)

    def _segment(self, batch: list[Draft]) -> list[Draft | Dropped]:
        asked = [draft for draft in batch if draft.sample.regions]
        boxes = [np.array([r.box for r in draft.sample.regions], np.float64) for draft in asked]
        pictures = [draft.picture for draft in asked]
        found = iter(self._segmenter.segment_boxes(pictures, boxes) if asked else [])
        return [_finish_draft(d, next(found)) if d.sample.regions else d for d in batch]


def _finish_draft(draft: Draft, found: Sequence[tuple[np.ndarray, float]]) -> Draft:
    regions = draft.sample.regions
    if len(found) != len(regions):
        raise DataError("another number of masks than boxes", expected=len(regions), got=len(found))
    kept, lost = [], []
    for region, (mask_HW, _) in zip(regions, found, strict=True):
        reason = _why_unusable(mask_HW, draft)
        if reason:
            lost.append(_lose_region(region, reason))
        else:
            kept.append(replace(region, mask=masks.encode_mask(np.ascontiguousarray(mask_HW))))
    return draft.keep_regions(kept, lost)


def _why_unusable(mask_HW: np.ndarray, draft: Draft) -> str:
    if mask_HW.dtype != np.bool_ or mask_HW.shape != tuple(draft.sample.size_hw):
        return "the mask is not of the image's size"
    return "" if mask_HW.any() else "the mask is empty"


def _lose_region(region: Region, reason: str) -> LostRegion:
    return LostRegion(reason=reason, phrase=region.phrase, box=region.box, score=region.score)


def build(config: Config) -> MasksStep:
    """The step with its annotator."""
    segmenter = build_annotator(config.annotator, needs=("segment_boxes",), where="masks")
    return MasksStep(config, segmenter, lineage_of("masks", segmenter))
