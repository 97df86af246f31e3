"""Pairs of pictures with points that show the same thing: what every C score is measured on.

SPair-71k, composed scenes and pictures of text all become these records, so one measure serves all.
Legend: K keypoints.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from diglot.core.errors import DataError
from diglot.core.types import Box, SizeHW


@dataclass(frozen=True, kw_only=True, eq=False)
class PairImage:
    """One side of a pair. `image` is an encoded picture or a path to one."""

    image: bytes | Path
    size_hw: SizeHW  # of the picture, px
    points_K2: np.ndarray  # float64 xy, px of the original picture; (0, 0) is its top left corner


@dataclass(frozen=True, kw_only=True, eq=False)
class Pair:
    """Point k of the source shows what point k of the target shows.

    A point that is not visible, or lies beyond its picture, is kept but never scored.
    Raises DataError, naming the pair, where the parts do not belong together.
    """

    id: str
    category: str  # there is a score of each category
    source: PairImage
    target: PairImage
    box: Box  # the object in the target, xyxy px: its longer side sets the tolerance
    visible_K: np.ndarray  # bool: seen in both pictures
    groups: tuple[str, ...] = ()  # there is a score of each group too, such as a kind of difficulty

    def __post_init__(self) -> None:
        where = f"pair {self.id!r}"
        count = len(self.visible_K)
        for name, side in (("source", self.source), ("target", self.target)):
            if side.points_K2.shape != (count, 2) or not np.isfinite(side.points_K2).all():
                raise DataError(
                    f"{name} points do not fit",
                    expected=f"{count} finite xy, as many as `visible`",
                    got=f"shape {side.points_K2.shape}",
                    where=where,
                )
            if min(side.size_hw) < 1:
                raise DataError(f"{name} has no size", got=side.size_hw, where=where)
        x0, y0, x1, y1 = self.box
        if not (np.isfinite(self.box).all() and x0 < x1 and y0 < y1):
            raise DataError("box is empty", expected="x0 < x1, y0 < y1", got=self.box, where=where)

    @property
    def box_side(self) -> float:
        """The longer side of the target's box, px: a match is right within alpha times this."""
        return max(self.box[2] - self.box[0], self.box[3] - self.box[1])

    @property
    def scored_K(self) -> np.ndarray:
        """Which points count, bool (K,): visible, and on the picture (its edge included) in both.

        So a point beyond a picture, which letterboxing may carry into the padding, is not scored.
        """
        return self.visible_K & _on_picture(self.source) & _on_picture(self.target)


def points_array(xy: Sequence[Sequence[float]]) -> np.ndarray:
    """float64 (K, 2) from a list of xy, which may be empty. Raises DataError for another shape."""
    try:
        points_K2 = np.asarray(xy, np.float64)
    except (TypeError, ValueError) as error:
        raise DataError("points are not a list of xy", got=f"{xy!r:.80}") from error
    if points_K2.size == 0:
        return np.zeros((0, 2))
    if points_K2.ndim != 2 or points_K2.shape[1] != 2:
        raise DataError("points are not a list of xy", got=f"shape {points_K2.shape}")
    return points_K2


def _on_picture(side: PairImage) -> np.ndarray:
    height, width = side.size_hw
    x_K, y_K = side.points_K2.T
    return (x_K >= 0) & (x_K <= width) & (y_K >= 0) & (y_K <= height)
