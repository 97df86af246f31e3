"""How much of a cell a region covers, by its mask if it has one, else its box: one definition."""

import numpy as np

from diglot.core import masks
from diglot.core.errors import locate_errors
from diglot.core.geometry import TokenGrid
from diglot.core.region import Box, Region, SizeHW


def region_cover(region: Region, grid: TokenGrid, *, where: str = "") -> np.ndarray:
    """The fraction of each token's cell that the region covers, float64 (P,) in [0, 1].

    The grid carries mask and box through the image's own resize, crop and padding. Raises DataError
    for a mask that cannot be decoded; `where` is the region's place in its record.
    """
    if region.mask is None:
        return grid.box_cover(region.box)
    with locate_errors(f"{where}.mask" if where else "mask"):
        return grid.mask_cover(masks.decode_mask(region.mask))


def region_pixels(region: Region, size_hw: SizeHW) -> np.ndarray:
    """The fraction of each pixel of its image that the region covers, float64 (H, W) in [0, 1].

    For unions of regions: `TokenGrid.mask_cover` takes their maximum.
    """
    if region.mask is not None:
        return masks.decode_mask(region.mask).astype(np.float64)
    return box_pixels(region.box, size_hw)


def box_pixels(box: Box, size_hw: SizeHW) -> np.ndarray:
    """The fraction of each pixel that a box covers, float64 (H, W)."""
    y, x = (np.arange(side, dtype=np.float64) for side in size_hw)
    rows = (np.minimum(y + 1, box[3]) - np.maximum(y, box[1])).clip(0.0, 1.0)
    columns = (np.minimum(x + 1, box[2]) - np.maximum(x, box[0])).clip(0.0, 1.0)
    return np.outer(rows, columns)
