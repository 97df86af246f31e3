"""Into which grid of square tiles an image is cut: the rules of stock image processors."""

import math
from collections.abc import Sequence

from diglot.core.types import SizeHW


def tile_grid(size_hw: SizeHW, *, max_tiles: int, tile_px: int) -> SizeHW:
    """Rows and columns of tiles: closest in aspect; of equals, more tiles if the image fills them.

    The rule of InternVL-style dynamic tiling (the paper's "tile-wise dynamic resolution"); of grids
    of as many tiles the one of fewer columns comes first, as in stock GotOcr2.
    """
    height, width = size_hw
    grids = _possible_grids(max_tiles)
    best, best_gap = grids[0], float("inf")
    for rows, columns in grids:
        gap = abs(width / height - columns / rows)
        fills = height * width > 0.5 * tile_px**2 * rows * columns
        if gap < best_gap or (gap == best_gap and fills):
            best, best_gap = (rows, columns), gap
    return best


def least_upscaled_grid(size_hw: SizeHW, *, max_tiles: int, tile_px: int) -> SizeHW:
    """Rows and columns of tiles that enlarge the image least; if all shrink it, that least.

    Cohere2Vision's rule: the scale is the smaller of the two sides'; of equals the fewest tiles,
    then the fewest columns.
    """
    height, width = size_hw
    scales = {
        (rows, columns): min(columns * tile_px / width, rows * tile_px / height)
        for rows, columns in _possible_grids(max_tiles)
    }
    enlarging = {grid: scale for grid, scale in scales.items() if scale >= 1}
    if enlarging:
        return min(enlarging, key=lambda grid: enlarging[grid])
    return max(scales, key=lambda grid: scales[grid])


def _possible_grids(max_tiles: int) -> list[SizeHW]:
    """All grids of so many tiles: fewest tiles first, of equals fewest columns."""
    sides = range(1, max_tiles + 1)
    grids = [(rows, columns) for columns in sides for rows in sides if rows * columns <= max_tiles]
    return sorted(grids, key=lambda grid: grid[0] * grid[1])


def anyres_grid(
    size_hw: SizeHW, grids: Sequence[tuple[int, int]], *, tile_px: int
) -> tuple[int, int]:
    """Rows and columns of tiles that keep most of the image's pixels, then waste fewest."""
    height, width = size_hw
    best, best_kept, least_waste = grids[0], 0, math.inf
    for rows, columns in grids:
        target_h, target_w = rows * tile_px, columns * tile_px
        scale = min(target_w / width, target_h / height)
        kept = min(int(width * scale) * int(height * scale), height * width)
        waste = target_h * target_w - kept
        if kept > best_kept or (kept == best_kept and waste < least_waste):
            best, best_kept, least_waste = (rows, columns), kept, waste
    return best
