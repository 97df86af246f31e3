"""A caption cut where entities begin and end, so that each piece can be drawn in their colours."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

Span = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class CaptionPiece:
    """Some characters of a caption and the regions they speak of."""

    text: str
    regions: tuple[int, ...]  # the one with the shortest span first
    ends: tuple[int, ...]  # regions whose span ends with this piece


def cut_caption(caption: str, spans: Sequence[Span | None]) -> tuple[CaptionPiece, ...]:
    """Pieces that join up to `caption`; region i has spans[i], which may overlap others."""
    borders = {0, len(caption)}.union(*(span for span in spans if span))
    cuts = sorted(borders)
    return tuple(_cut_piece(caption, spans, start, end) for start, end in pairwise(cuts))


def _cut_piece(caption: str, spans: Sequence[Span | None], start: int, end: int) -> CaptionPiece:
    covering = [
        (span[1] - span[0], index)
        for index, span in enumerate(spans)
        if span and span[0] <= start and end <= span[1]
    ]
    return CaptionPiece(
        text=caption[start:end],
        regions=tuple(index for _, index in sorted(covering)),
        ends=tuple(index for index, span in enumerate(spans) if span and span[1] == end),
    )
