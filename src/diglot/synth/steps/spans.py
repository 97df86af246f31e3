"""Step: each region's characters in the caption.

MMCS section 3.3 keeps the textual entity of each object; replacing it in the caption (Eq. 2) needs
to know where it stands. How phrases are matched: `phrases/assign.py`. A region whose phrase is not
in the caption is counted and kept out of the caption: its span is None.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from diglot.config.ranges import NonNegativeInt
from diglot.core.types import Lineage, Region, Span
from diglot.synth.phrases.assign import WantedPhrase, assign_spans
from diglot.synth.step import Draft, Dropped, LostRegion


@dataclass(frozen=True, kw_only=True)
class Config:
    """Options of the step."""

    missing: Literal["keep", "drop"] = "keep"
    """A region whose phrase is not in the caption: kept without a span, or removed."""
    min_spans: NonNegativeInt = 0
    """An image with fewer regions in its caption is dropped."""


class SpansStep:
    """Spans for regions that have none yet; the phrase becomes the caption's own words."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self.lineage = Lineage(step="spans", revision=f"missing {config.missing}")

    def __call__(self, drafts: Iterator[Draft]) -> Iterator[Draft | Dropped]:
        """Drafts whose regions know where they stand in the caption."""
        for draft in drafts:
            yield self._find(draft)

    def _find(self, draft: Draft) -> Draft | Dropped:
        caption = draft.sample.caption
        spans = _assign_occurrences(draft)
        kept, lost = [], []
        for region, span in zip(draft.sample.regions, spans, strict=True):
            if span is None:
                lost.append(_lose_region(region, self._config.missing))
            if span is not None or self._config.missing == "keep":
                kept.append(_with_span(region, span, caption))
        if sum(region.span is not None for region in kept) < self._config.min_spans:
            return Dropped(id=draft.sample.id, reason="too few regions in the caption")
        return draft.keep_regions(kept, lost)


def _assign_occurrences(draft: Draft) -> list[Span | None]:
    """Spans known before stay; the others are found among what the caption has left."""
    regions = draft.sample.regions
    occurrences = {p.text: p.occurrence for p in draft.phrases if p.occurrence}
    repeated = [p.text for p in draft.phrases]
    mentions = [
        WantedPhrase(
            region.phrase,
            occurrences.get(region.phrase) if repeated.count(region.phrase) == 1 else None,
        )
        for region in regions
    ]
    known = [region.span for region in regions]
    return assign_spans(draft.sample.caption, mentions, known=known)


def _with_span(region: Region, span: Span | None, caption: str) -> Region:
    if span is None:
        return replace(region, span=None)
    return replace(
        region,
        span=span,
        phrase=caption[span[0] : span[1]],
        label=region.label or region.phrase,
    )


def _lose_region(region: Region, missing: str) -> LostRegion:
    kept = "without a span" if missing == "keep" else "removed"
    return LostRegion(
        reason=f"the phrase is not in the caption ({kept})",
        phrase=region.phrase,
        box=region.box,
        score=region.score,
    )


def build(config: Config) -> SpansStep:
    """The step that finds the characters of each region's phrase in its caption."""
    return SpansStep(config)
