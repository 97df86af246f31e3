"""Sizes of images that keep their own aspect, in whole cells of an encoder's patches."""

import math

import numpy as np

from diglot.core.types import SizeHW

SMALLEST_SCALE, LARGEST_SCALE, SCALE_STEP = 1e-6, 100.0, 1e-5


def native_size(size_hw: SizeHW, *, cell_px: int, min_pixels: int, max_pixels: int) -> SizeHW:
    """Height and width in whole cells, aspect kept, area in bounds (Qwen2-VL's smart resize)."""
    height, width = size_hw
    sides = np.array([height, width], np.float64)
    whole = np.round(sides / cell_px) * cell_px  # 0 for a sliver: below min_pixels
    if whole.prod() > max_pixels:
        whole = np.floor(sides / np.sqrt(height * width / max_pixels) / cell_px) * cell_px
    elif whole.prod() < min_pixels:
        whole = np.ceil(sides * np.sqrt(min_pixels / (height * width)) / cell_px) * cell_px
    whole = np.maximum(whole, cell_px)
    return int(whole[0]), int(whole[1])


def naflex_size(size_hw: SizeHW, *, cell_px: int, max_pixels: int) -> SizeHW:
    """Height and width in whole cells, rounded up, of the largest scale that fits max_pixels.

    As SigLIP2's own processor finds it: by halving an interval of scales until it is short, so that
    an image is enlarged a hundred times at most, and has one cell at least.
    """
    low, high, most = SMALLEST_SCALE, LARGEST_SCALE, max_pixels / cell_px**2
    while high - low >= SCALE_STEP:
        middle = (low + high) / 2
        rows, columns = (_cells_of(side, middle, cell_px) for side in size_hw)
        low, high = (middle, high) if rows * columns <= most else (low, middle)
    height, width = (_cells_of(side, low, cell_px) * cell_px for side in size_hw)
    return height, width


def _cells_of(side_px: int, scale: float, cell_px: int) -> int:
    return max(1, math.ceil(side_px * scale / cell_px))
