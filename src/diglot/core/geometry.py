"""Where every visual token lies on the ORIGINAL image: the one place that knows geometry.

Every way of preparing an image (resize, crop, pad, tiles, thumbnail, native resolution) is a list
of views, and every view is: resize the whole image, cut a window, put a grid on it. So one affine
map per view carries boxes, masks and pixels alike (MMCS Eq. 1; Patch-aligned section 3).
Unshuffle needs no case of its own: it makes the grid's cells larger.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from diglot.core.types import Box, SizeHW

ViewKind = Literal["image", "tile", "thumbnail"]
Padding = Literal["mean", "black"]  # its colour: the encoder's mean in whole grey levels, or 0

# Overlaps thinner than this are rounding, not area: touching edges do not count as overlap.
TOUCH_PX = 1e-6


@dataclass(frozen=True, kw_only=True)
class View:
    """What the encoder sees at once: a window of the resized image under a grid of tokens."""

    resize_hw: SizeHW  # the whole image is resized to this first
    window: tuple[int, int, int, int]  # xyxy px of the resized image; what sticks out is padding
    grid_hw: SizeHW  # rows and columns of visual tokens
    cell_px: int  # side of a token's cell in the window; cells start at its top left
    kind: ViewKind = "image"
    padding: Padding = "mean"
    pooled_hw: SizeHW | None = None  # tokens are pooled from so many cells: their own may overlap
    canvas: tuple[int, int, int, int] | None = None
    """xyxy px of the original image, cut out before the resize; what sticks out is padding. None:
    the whole image."""

    @property
    def size_hw(self) -> SizeHW:
        """Height and width of the window, in pixels."""
        x0, y0, x1, y1 = self.window
        return y1 - y0, x1 - x0

    def edges(self, size_hw: SizeHW) -> tuple[np.ndarray, np.ndarray]:
        """Row edges and column edges of the regular cells, in original pixels.

        One more than there are cells, which are the features' where tokens are pooled from them.
        """
        rows, columns = self.pooled_hw or self.grid_hw
        left, top, right, bottom = self.canvas or (0, 0, size_hw[1], size_hw[0])
        y_scale, x_scale = (bottom - top) / self.resize_hw[0], (right - left) / self.resize_hw[1]
        y_edges = (self.window[1] + np.arange(rows + 1) * self.cell_px) * y_scale
        x_edges = (self.window[0] + np.arange(columns + 1) * self.cell_px) * x_scale
        return top + y_edges, left + x_edges

    def spans(self, size_hw: SizeHW) -> tuple[np.ndarray, np.ndarray]:
        """[start, end) of the tokens' rows (rows, 2) and columns (columns, 2), original pixels."""
        y_edges, x_edges = self.edges(size_hw)
        if self.pooled_hw is None:
            return _pair_edges(y_edges), _pair_edges(x_edges)
        return _pool_windows(y_edges, self.grid_hw[0]), _pool_windows(x_edges, self.grid_hw[1])


@dataclass(frozen=True)
class TokenGrid:
    """The cells, on the original image, of all P visual tokens: row-major, views in order."""

    size_hw: SizeHW
    views: tuple[View, ...]
    lines: tuple[tuple[int, ...], ...] = ()
    """For tiles joined to one picture: the tokens that the language model reads, line by line, a
    separator behind each line. Empty: all tokens in their order, and no separator."""
    marks: tuple[tuple[int, ...], ...] = ()
    """Token ids that the language model reads before each view, and last those behind all views.
    Empty: none."""

    def __len__(self) -> int:
        return sum(view.grid_hw[0] * view.grid_hw[1] for view in self.views)

    @cached_property
    def _spans(self) -> list[tuple[np.ndarray, np.ndarray]]:
        return [view.spans(self.size_hw) for view in self.views]

    @cached_property
    def cells_P4(self) -> np.ndarray:
        """xyxy cells in original pixels, float64. A cell on padding reaches beyond the image."""
        return np.concatenate([_cross_spans(y, x) for y, x in self._spans])

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
            np.outer(_overlap_spans(y, spans_y)[:, 0], _overlap_spans(x, spans_x)[:, 0])
            / _cell_area(y, x)
            for y, x in self._spans
        ]
        return np.concatenate([cover.ravel() for cover in covers]).clip(0.0, 1.0)

    def overlapping(self, box: Box) -> np.ndarray:
        """Which tokens' cells the box overlaps at all, bool (P,): v_object of MMCS Eq. 1."""
        return self.box_cover(box) > 0

    def mask_cover(self, mask_HW: np.ndarray) -> np.ndarray:
        """The fraction of each token's cell that the mask covers, float64 (P,) in [0, 1].

        Exact: a mask pixel is a unit square, and cells may cut through it. `mask_HW` is bool or
        0/1, in the original image's size.
        """
        if mask_HW.shape != tuple(self.size_hw):
            raise ValueError(f"mask is {mask_HW.shape}, image is {self.size_hw}")
        y, x = (np.flatnonzero(mask_HW.any(axis)) for axis in (1, 0))
        if not len(y):
            return np.zeros(len(self))
        top, left = y[0], x[0]  # only the part that holds the mask: the rest adds nothing
        mask = np.asarray(mask_HW[top : y[-1] + 1, left : x[-1] + 1], np.float64)
        rows, columns = (
            _pixel_spans(n) + at for n, at in zip(mask.shape, (top, left), strict=True)
        )
        covers = [
            _overlap_spans(y, rows) @ mask @ _overlap_spans(x, columns).T / _cell_area(y, x)
            for y, x in self._spans
        ]
        return np.concatenate([cover.ravel() for cover in covers]).clip(0.0, 1.0)


def _pair_edges(edges: np.ndarray) -> np.ndarray:
    return np.stack([edges[:-1], edges[1:]], axis=1)


def _pool_windows(edges: np.ndarray, count: int) -> np.ndarray:
    """The windows of adaptive pooling to `count`: from floor(i n / count) to ceil((i+1) n / count).

    As torch.nn.AdaptiveAvgPool2d has them; neighbours overlap where n is no multiple of count.
    """
    n, i = len(edges) - 1, np.arange(count)
    return np.stack([edges[i * n // count], edges[-((i + 1) * -n // count)]], axis=1)


def _cross_spans(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """xyxy cells, row-major, of a grid given by the spans of its rows and columns."""
    y, x = np.meshgrid(np.arange(len(rows)), np.arange(len(columns)), indexing="ij")
    y, x = y.ravel(), x.ravel()
    return np.stack([columns[x, 0], rows[y, 0], columns[x, 1], rows[y, 1]], axis=1)


def _cell_area(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """The area of every cell, (rows, columns)."""
    return np.outer(_measure_spans(rows), _measure_spans(columns))


def _measure_spans(spans: np.ndarray) -> np.ndarray:
    """The lengths of spans; equal ones are equal to the last digit, as the first."""
    lengths = spans[:, 1] - spans[:, 0]
    return np.where(np.isclose(lengths, lengths[0], rtol=1e-9, atol=0), lengths[0], lengths)


def _pixel_spans(count: int) -> np.ndarray:
    return np.stack([np.arange(count), np.arange(1, count + 1)], axis=1).astype(np.float64)


def _overlap_spans(cells_C2: np.ndarray, spans_N2: np.ndarray) -> np.ndarray:
    """Length of each cell's overlap with each span, (C, N); rounding counts as none."""
    low = np.maximum(cells_C2[:, None, 0], spans_N2[None, :, 0])
    high = np.minimum(cells_C2[:, None, 1], spans_N2[None, :, 1])
    overlap = high - low
    return np.where(overlap > TOUCH_PX, overlap, 0.0)
