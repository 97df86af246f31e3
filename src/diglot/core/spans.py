"""From character spans of a caption to slices of its tokens."""

from collections.abc import Sequence

import numpy as np

from diglot.core.types import Span


def token_slice(offsets_T2: np.ndarray, span: Span) -> tuple[int, int] | None:
    """[start, stop) of the tokens that share a character with the span, or None.

    A token that straddles the span's border belongs to it. Offsets are [start, end) characters;
    tokens of no characters (specials) belong to nothing.
    """
    start, end = offsets_T2[:, 0], offsets_T2[:, 1]
    inside = np.flatnonzero(np.maximum(start, span[0]) < np.minimum(end, span[1]))
    return (int(inside[0]), int(inside[-1]) + 1) if len(inside) else None


def drop_overlaps(slices: Sequence[tuple[int, int]], scores: Sequence[float]) -> list[int]:
    """Indices of a disjoint subset in reading order: of overlapping slices the higher score stays.

    Ties go to the earlier in the text, then to the longer. Two spans that share one straddling
    token overlap.
    """
    order = sorted(range(len(slices)), key=lambda i: (-scores[i], slices[i][0], -slices[i][1], i))
    kept: list[int] = []
    for i in order:
        if all(slices[i][1] <= slices[j][0] or slices[j][1] <= slices[i][0] for j in kept):
            kept.append(i)
    return sorted(kept, key=lambda i: slices[i][0])
