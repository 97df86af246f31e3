"""Step: where each phrase is in the image, by a detector.

MMCS section 3.3: Grounding DINO gives a box, the phrase and a score for each entity that it finds.
Of several boxes for an entity the best is kept (the paper's "one tuple an entity"); PAD keeps all.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from diglot.config.ranges import NonNegativeFloat, PositiveInt
from diglot.core.errors import DataError
from diglot.core.types import Box, Lineage, Region, SizeHW
from diglot.synth.annotator import Detection, Detector, Part, build_annotator, lineage_of
from diglot.synth.step import Draft, Dropped, LostRegion, Phrase, work_in_batches


@dataclass(frozen=True, kw_only=True)
class Config:
    """Options of the step."""

    annotator: Part
    """The detector: grounding_dino, owlv2, ssd_mobilenet."""
    keep: Literal["best", "all"] = "best"
    """Of several boxes for a phrase: the best that no phrase of the same words has, or all."""
    slack_px: NonNegativeFloat = 8.0
    """A box may stick out of the image so far: it is clipped. One further out is no box."""
    batch: PositiveInt = 4
    """Images at a time."""

    def __post_init__(self) -> None:
        if not self.slack_px >= 0:
            raise DataError("slack_px is below 0", got=self.slack_px)


class BoxesStep:
    """A region for each phrase that the detector finds."""

    def __init__(self, config: Config, detector: Detector, lineage: Lineage) -> None:
        self._config, self._detector, self.lineage = config, detector, lineage

    def __call__(self, drafts: Iterator[Draft]) -> Iterator[Draft | Dropped]:
        """Drafts whose regions are what was found."""
        return work_in_batches(drafts, self._detect, size=self._config.batch)

    def _detect(self, batch: list[Draft]) -> list[Draft | Dropped]:
        pictures = [draft.picture for draft in batch]
        phrases = [[phrase.text for phrase in draft.phrases] for draft in batch]
        found = self._detector.detect_objects(pictures, phrases)
        return [self._finish(d, detections) for d, detections in zip(batch, found, strict=True)]

    def _finish(self, draft: Draft, detections: Sequence[Detection]) -> Draft:
        good, lost = self._usable(draft, detections)
        chosen = _choose_best(good, draft.phrases) if self._config.keep == "best" else good
        found = {detection.phrase for detection in chosen}
        lost += [
            LostRegion(reason="the detector found no box", phrase=phrase.text)
            for index, phrase in enumerate(draft.phrases)
            if index not in found
        ]
        regions = [self._region(draft, detection) for detection in chosen]
        return draft.keep_regions(regions, lost)

    def _usable(
        self, draft: Draft, detections: Sequence[Detection]
    ) -> tuple[list[Detection], list[LostRegion]]:
        good, lost = [], []
        for detection in detections:
            box = clip_box(detection.box, draft.sample.size_hw, slack_px=self._config.slack_px)
            if isinstance(box, str):
                lost.append(_lose_detection(detection, box))
            elif reason := _why_rubbish(detection, draft.phrases):
                lost.append(_lose_detection(detection, reason))
            else:
                good.append(replace(detection, box=box))
        return sorted(good, key=lambda d: -d.score), lost

    def _region(self, draft: Draft, detection: Detection) -> Region:
        phrase = None if detection.phrase is None else draft.phrases[detection.phrase]
        return Region(
            phrase=phrase.text if phrase else detection.label,
            span=phrase.span if phrase else None,
            box=detection.box,
            label=detection.label or None,
            score=detection.score,
            source=f"{self._detector.model}@{self._detector.revision}",
        )


def clip_box(box: Sequence[float], size_hw: SizeHW, *, slack_px: float) -> Box | str:
    """The box within the image, xyxy float px; or why it is none."""
    if len(box) != 4 or not all(math.isfinite(value) for value in box):
        return "the box is not finite"
    height, width = size_hw
    x0, y0, x1, y1 = map(float, box)
    if x0 < -slack_px or y0 < -slack_px or x1 > width + slack_px or y1 > height + slack_px:
        return "the box lies outside the image"
    clipped = max(x0, 0.0), max(y0, 0.0), min(x1, float(width)), min(y1, float(height))
    if clipped[0] >= clipped[2] or clipped[1] >= clipped[3]:
        return "the box is empty"
    return clipped


def _why_rubbish(detection: Detection, phrases: Sequence[Phrase]) -> str:
    if not 0 <= detection.score <= 1:  # NaN too
        return "the score is no number in [0, 1]"
    if detection.phrase is not None and not 0 <= detection.phrase < len(phrases):
        return "the box is of no phrase that was asked for"
    return ""


def _lose_detection(detection: Detection, reason: str) -> LostRegion:
    box = tuple(float(v) for v in detection.box)
    return LostRegion(reason=reason, phrase=detection.label, box=box, score=float(detection.score))


def _choose_best(detections: Sequence[Detection], phrases: Sequence[Phrase]) -> list[Detection]:
    """The best box of each phrase, in the phrases' order; same words never share a box.

    Detections that answer no phrase are all kept.
    """
    taken: set[tuple[str, Box]] = set()
    chosen = [detection for detection in detections if detection.phrase is None]
    for index, phrase in enumerate(phrases):
        words = phrase.text.casefold()
        own = (d for d in detections if d.phrase == index and (words, d.box) not in taken)
        best = next(own, None)
        if best is not None:
            taken.add((words, best.box))
            chosen.append(best)
    return chosen


def build(config: Config) -> BoxesStep:
    """The step with its annotator."""
    detector = build_annotator(config.annotator, needs=("detect_objects",), where="boxes")
    return BoxesStep(config, detector, lineage_of("boxes", detector))
