"""Finding places for objects so that each stays visible, and knowing who owns every pixel."""

from collections.abc import Callable, Sequence

import numpy as np

Corner = tuple[int, int]  # (x, y) of an object's top left pixel
_TRIES_PER_OBJECT = 30
_TRIES = 20


def find_places(
    solids: Sequence[np.ndarray],
    side_px: int,
    rng: np.random.Generator,
    *,
    max_overlap: float,
    min_visible: float,
    accepts: Callable[[Sequence[Corner], np.ndarray], bool] | None = None,
) -> tuple[list[Corner], np.ndarray] | None:
    """Places for objects pasted in order, and the owner of every pixel; None if none are found.

    solids: bool (h, w), the pixels each object covers. The owner map is int16 (side, side): an
    object's index, or -1. Every object keeps `min_visible` of its pixels, and no two boxes share
    more than `max_overlap` of the smaller. `accepts(corners, owner)` may refuse a whole layout.
    """
    for _ in range(_TRIES):
        found = _try_corners(solids, side_px, rng, max_overlap, min_visible)
        if found is not None and (accepts is None or accepts(*found)):
            return found
    return None


def _try_corners(
    solids: Sequence[np.ndarray],
    side_px: int,
    rng: np.random.Generator,
    max_overlap: float,
    min_visible: float,
) -> tuple[list[Corner], np.ndarray] | None:
    owner = np.full((side_px, side_px), -1, dtype=np.int16)
    areas = [int(solid.sum()) for solid in solids]
    visible: list[int] = []
    boxes: list[tuple[int, int, int, int]] = []
    for index, solid in enumerate(solids):
        height, width = solid.shape
        for _ in range(_TRIES_PER_OBJECT):
            x = int(rng.integers(side_px - width + 1))
            y = int(rng.integers(side_px - height + 1))
            box = (x, y, x + width, y + height)
            if any(_overlap_share(box, other) > max_overlap for other in boxes):
                continue
            under = owner[y : y + height, x : x + width]
            hidden = np.bincount(under[solid] + 1, minlength=index + 1)[1 : index + 1]
            left = [v - int(h) for v, h in zip(visible, hidden, strict=True)]
            if all(v >= min_visible * a for v, a in zip(left, areas, strict=False)):
                break
        else:
            return None
        under[solid] = index
        visible = [*left, areas[index]]
        boxes.append(box)
    return [(x, y) for x, y, _, _ in boxes], owner


def _overlap_share(first: tuple[int, int, int, int], second: tuple[int, int, int, int]) -> float:
    """Intersection of two boxes over the smaller box."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    if width <= 0 or height <= 0:
        return 0.0
    smaller = min((b[2] - b[0]) * (b[3] - b[1]) for b in (first, second))
    return width * height / smaller


def tight_box(mask: np.ndarray) -> tuple[float, float, float, float]:
    """The smallest xyxy box, in px, around the set pixels of `mask`; at least one must be set."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)
