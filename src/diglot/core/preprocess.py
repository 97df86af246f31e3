"""The ways an image is prepared for an encoder, each as the views it is cut into.

Squash, centre-crop (CLIP), pad (LLaVA-1.5), tiles with a thumbnail (InternVL's dynamic tiling; the
"tile-wise dynamic resolution" of MMCS section 4.1), and native resolution (Qwen2-VL).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from diglot.core.errors import ConfigError, DataError
from diglot.core.geometry import TokenGrid, View, ViewKind
from diglot.core.types import SizeHW

# Modes that keep the aspect blow a thread-like image up to gigapixels, or beyond `max_pixels`.
# The bound is Qwen2-VL's own.
MAX_ASPECT = 200

Mode = Literal["squash", "centre_crop", "pad", "tiles", "native"]


@dataclass(frozen=True, kw_only=True)
class Preprocess:
    """How an image becomes views. `image_px` is the side of the square the encoder was trained on.

    squash       the whole image, its aspect given up
    centre_crop  shortest side to image_px, then the centre square (CLIP)
    pad          longest side to image_px, then padded to a square, image centred (LLaVA-1.5)
    tiles        the grid of at most max_tiles squares closest in aspect, and a thumbnail
    native       the image's own aspect, sides rounded to whole cells (Qwen2-VL)
    """

    mode: Mode = "squash"
    image_px: int = 448
    max_tiles: int = 4
    thumbnail: bool = True
    """For tiles: add the whole image, squashed, as the last view if there are several tiles."""
    min_pixels: int = 56 * 56
    """For native: the image is resized so that its area lies between min and max."""
    max_pixels: int = 28 * 28 * 1280

    def __post_init__(self) -> None:
        for name in ("image_px", "max_tiles", "min_pixels", "max_pixels"):
            if getattr(self, name) < 1:
                raise ConfigError("must be at least 1", got=getattr(self, name), where=name)
        if self.min_pixels > self.max_pixels:
            raise ConfigError("min_pixels exceeds max_pixels", where="preprocess")

    def token_grid(self, size_hw: SizeHW, *, patch_px: int, unshuffle: int = 1) -> TokenGrid:
        """The grid of visual tokens after merging unshuffle × unshuffle encoder cells of patch_px.

        Raises ConfigError where a view's encoder grid cannot be merged evenly, and DataError for an
        image too long and thin for a mode that keeps its aspect.
        """
        if self.mode in ("centre_crop", "native") and max(size_hw) > MAX_ASPECT * min(size_hw):
            raise DataError(
                f"image is too long and thin for {self.mode!r}",
                expected=f"sides within a factor of {MAX_ASPECT}",
                got=f"{size_hw[0]} x {size_hw[1]}",
            )
        plans = {
            "squash": _squash,
            "centre_crop": _centre_crop,
            "pad": _pad,
            "tiles": _tiles,
            "native": _native,
        }
        cell_px = patch_px * unshuffle
        placed = plans[self.mode](self, size_hw, cell_px)
        views = tuple(
            _with_grid(*place, patch_px=patch_px, unshuffle=unshuffle) for place in placed
        )
        return TokenGrid(size_hw, views)


Placed = tuple[SizeHW, tuple[int, int, int, int], ViewKind]  # resize_hw, window, kind


def _with_grid(
    resize_hw: SizeHW,
    window: tuple[int, int, int, int],
    kind: ViewKind,
    *,
    patch_px: int,
    unshuffle: int,
) -> View:
    rows, columns = (window[3] - window[1]) // patch_px, (window[2] - window[0]) // patch_px
    if rows % unshuffle or columns % unshuffle or not rows or not columns:
        raise ConfigError(
            f"a grid of {rows} x {columns} encoder cells cannot be unshuffled by {unshuffle}",
            expected=f"rows and columns divisible by {unshuffle}",
            where="projector.unshuffle",
            fix=f"Choose image_px as a multiple of {patch_px * unshuffle}, or unshuffle: 1.",
        )
    return View(
        resize_hw=resize_hw,
        window=window,
        grid_hw=(rows // unshuffle, columns // unshuffle),
        cell_px=patch_px * unshuffle,
        kind=kind,
    )


def _squash(config: Preprocess, size_hw: SizeHW, cell_px: int) -> list[Placed]:
    side = config.image_px
    return [((side, side), (0, 0, side, side), "image")]


def _centre_crop(config: Preprocess, size_hw: SizeHW, cell_px: int) -> list[Placed]:
    side, (height, width) = config.image_px, size_hw
    short = min(height, width)
    resize = (int(height * side / short), int(width * side / short))
    top, left = (resize[0] - side) // 2, (resize[1] - side) // 2
    return [(resize, (left, top, left + side, top + side), "image")]


def _pad(config: Preprocess, size_hw: SizeHW, cell_px: int) -> list[Placed]:
    side, (height, width) = config.image_px, size_hw
    long = max(height, width)
    resize = (max(1, round(height * side / long)), max(1, round(width * side / long)))
    top, left = -((side - resize[0]) // 2), -((side - resize[1]) // 2)
    return [(resize, (left, top, left + side, top + side), "image")]


def _tiles(config: Preprocess, size_hw: SizeHW, cell_px: int) -> list[Placed]:
    rows, columns = tile_grid(size_hw, max_tiles=config.max_tiles, tile_px=config.image_px)
    side = config.image_px
    resize = (rows * side, columns * side)
    if rows * columns == 1:
        return [(resize, (0, 0, side, side), "image")]
    placed: list[Placed] = [
        (resize, (c * side, r * side, (c + 1) * side, (r + 1) * side), "tile")
        for r in range(rows)
        for c in range(columns)
    ]
    if config.thumbnail:
        placed.append(((side, side), (0, 0, side, side), "thumbnail"))
    return placed


def tile_grid(size_hw: SizeHW, *, max_tiles: int, tile_px: int) -> SizeHW:
    """Rows and columns of tiles: closest in aspect; of equals, more tiles if the image fills them.

    The rule of InternVL-style dynamic tiling (the paper's "tile-wise dynamic resolution").
    """
    height, width = size_hw
    grids = [
        (r, c)
        for r in range(1, max_tiles + 1)
        for c in range(1, max_tiles + 1)
        if r * c <= max_tiles
    ]
    grids.sort(key=lambda grid: grid[0] * grid[1])
    best, best_gap = grids[0], float("inf")
    for rows, columns in grids:
        gap = abs(width / height - columns / rows)
        fills = height * width > 0.5 * tile_px**2 * rows * columns
        if gap < best_gap or (gap == best_gap and fills):
            best, best_gap = (rows, columns), gap
    return best


def _native(config: Preprocess, size_hw: SizeHW, cell_px: int) -> list[Placed]:
    height, width = native_size(
        size_hw, cell_px=cell_px, min_pixels=config.min_pixels, max_pixels=config.max_pixels
    )
    return [((height, width), (0, 0, width, height), "image")]


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
