"""Where every visual token lies on the ORIGINAL image: the one place that knows geometry.

Every way of preparing an image (resize, crop, pad, tiles, thumbnail, native resolution) is a list
of views, and every view is: resize the whole image, cut a window, lay a grid on it. So one affine
map per view carries boxes, masks and pixels alike (MMCS Eq. 1; Patch-aligned section 3).
Unshuffle needs no case of its own: it makes the grid's cells larger.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from diglot.core.errors import ConfigError, DataError
from diglot.core.types import Box, SizeHW

ViewKind = Literal["image", "tile", "thumbnail"]

# Overlaps thinner than this are rounding, not area: touching edges do not count as overlap.
TOUCH_PX = 1e-6

# Modes that keep the aspect blow a thread-like image up to gigapixels, or beyond `max_pixels`.
# The bound is Qwen2-VL's own.
MAX_ASPECT = 200


@dataclass(frozen=True, kw_only=True)
class View:
    """What the encoder sees at once: a window of the resized image under a grid of tokens."""

    resize_hw: SizeHW  # the whole image is resized to this first
    window: tuple[int, int, int, int]  # xyxy px of the resized image; what sticks out is padding
    grid_hw: SizeHW  # rows and columns of visual tokens
    cell_px: int  # side of a token's cell in the window; cells start at its top left
    kind: ViewKind = "image"

    @property
    def size_hw(self) -> SizeHW:
        """Height and width of the window, in pixels."""
        x0, y0, x1, y1 = self.window
        return y1 - y0, x1 - x0

    def edges(self, size_hw: SizeHW) -> tuple[np.ndarray, np.ndarray]:
        """Row edges (rows+1) and column edges (columns+1) of the cells, in original pixels."""
        y_scale, x_scale = (o / r for o, r in zip(size_hw, self.resize_hw, strict=True))
        y_edges = (self.window[1] + np.arange(self.grid_hw[0] + 1) * self.cell_px) * y_scale
        x_edges = (self.window[0] + np.arange(self.grid_hw[1] + 1) * self.cell_px) * x_scale
        return y_edges, x_edges


@dataclass(frozen=True)
class TokenGrid:
    """The cells, on the original image, of all P visual tokens: row-major, views in order."""

    size_hw: SizeHW
    views: tuple[View, ...]

    def __len__(self) -> int:
        return sum(view.grid_hw[0] * view.grid_hw[1] for view in self.views)

    @cached_property
    def _edges(self) -> list[tuple[np.ndarray, np.ndarray]]:
        return [view.edges(self.size_hw) for view in self.views]

    @cached_property
    def cells_P4(self) -> np.ndarray:
        """xyxy cells in original pixels, float64. A cell on padding reaches beyond the image."""
        return np.concatenate([_cells(y, x) for y, x in self._edges])

    @cached_property
    def view_P(self) -> np.ndarray:
        """The index of each token's view, int64."""
        counts = [view.grid_hw[0] * view.grid_hw[1] for view in self.views]
        return np.repeat(np.arange(len(self.views)), counts)

    def in_views(self, kinds: Sequence[ViewKind]) -> np.ndarray:
        """Which tokens belong to a view of one of these kinds, bool (P,)."""
        return np.array([view.kind in kinds for view in self.views])[self.view_P]

    def box_cover(self, box: Box) -> np.ndarray:
        """The fraction of each token's cell that the box covers, float64 (P,) in [0, 1].

        The part of the box beyond the image is not there: padding is never covered.
        """
        height, width = self.size_hw
        spans_y = np.array([[max(box[1], 0.0), min(box[3], height)]])
        spans_x = np.array([[max(box[0], 0.0), min(box[2], width)]])
        covers = [
            np.outer(_overlap(y, spans_y)[:, 0], _overlap(x, spans_x)[:, 0]) / _cell_area(y, x)
            for y, x in self._edges
        ]
        return np.concatenate([cover.ravel() for cover in covers]).clip(0.0, 1.0)

    def mask_cover(self, mask_HW: np.ndarray) -> np.ndarray:
        """The fraction of each token's cell that the mask covers, float64 (P,) in [0, 1].

        Exact: a mask pixel is a unit square, and cells may cut through it. `mask_HW` is bool or
        0/1, in the original image's size.
        """
        if mask_HW.shape != tuple(self.size_hw):
            raise ValueError(f"mask is {mask_HW.shape}, image is {self.size_hw}")
        mask = np.asarray(mask_HW, np.float64)
        rows, columns = (_pixel_spans(n) for n in self.size_hw)
        covers = [
            _overlap(y, rows) @ mask @ _overlap(x, columns).T / _cell_area(y, x)
            for y, x in self._edges
        ]
        return np.concatenate([cover.ravel() for cover in covers]).clip(0.0, 1.0)


def _cells(y_edges: np.ndarray, x_edges: np.ndarray) -> np.ndarray:
    """xyxy cells, row-major, of a grid given by its edges."""
    y, x = np.meshgrid(np.arange(len(y_edges) - 1), np.arange(len(x_edges) - 1), indexing="ij")
    y, x = y.ravel(), x.ravel()
    return np.stack([x_edges[x], y_edges[y], x_edges[x + 1], y_edges[y + 1]], axis=1)


def _cell_area(y_edges: np.ndarray, x_edges: np.ndarray) -> float:
    return float((y_edges[1] - y_edges[0]) * (x_edges[1] - x_edges[0]))


def _pixel_spans(count: int) -> np.ndarray:
    return np.stack([np.arange(count), np.arange(1, count + 1)], axis=1).astype(np.float64)


def _overlap(edges: np.ndarray, spans_N2: np.ndarray) -> np.ndarray:
    """Length of each cell's overlap with each span, (cells, N); rounding counts as none."""
    low = np.maximum(edges[:-1, None], spans_N2[None, :, 0])
    high = np.minimum(edges[1:, None], spans_N2[None, :, 1])
    overlap = high - low
    return np.where(overlap > TOUCH_PX, overlap, 0.0)


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
