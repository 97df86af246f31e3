"""Feature maps under a picture's grid: where their cells lie, reading them at points, joining them.

A map is (h, w, E), every cell a unit vector, so that a product is a cosine. Where its cells lie
comes from core.geometry alone. "Cell coordinates" count cells, 0 at the centre of the first.
Legend: B pairs, K keypoints, h w cells, H W places to choose from, E channels, U encoders.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import normalize

from diglot.core.geometry import TOUCH_PX, View
from diglot.core.types import SizeHW
from diglot.measure.correspondence.config import Read


@dataclass(frozen=True)
class Places:
    """The places a target point may be predicted at: all rows times all columns that are inside."""

    y_H: np.ndarray  # float64, px of the original picture
    x_W: np.ndarray
    inside_H: np.ndarray  # bool; False on padding, where nothing of the picture is
    inside_W: np.ndarray


def cell_places(view: View, size_hw: SizeHW, *, upsample: int = 1) -> Places:
    """The centres of a view's cells, each cut into upsample x upsample.

    A cell that lies partly on padding stands for the part of it that is picture.
    """
    axes = []
    for edges, size in zip(view.edges(size_hw), size_hw, strict=True):
        fine = np.linspace(edges[0], edges[-1], (len(edges) - 1) * upsample + 1).clip(0, size)
        axes.append(((fine[1:] + fine[:-1]) / 2, fine[1:] - fine[:-1] > TOUCH_PX))
    (y_H, inside_H), (x_W, inside_W) = axes
    return Places(y_H, x_W, inside_H, inside_W)


def cell_coordinates(points_K2: np.ndarray, view: View, size_hw: SizeHW) -> np.ndarray:
    """xy px of the original picture as cell coordinates xy of the view, float64 (K, 2)."""
    y_edges, x_edges = view.edges(size_hw)
    start = np.array([x_edges[0], y_edges[0]])
    step = np.array([x_edges[1] - x_edges[0], y_edges[1] - y_edges[0]])
    return (points_K2 - start) / step - 0.5


def read_at(map_BhwE: torch.Tensor, at_BK2: torch.Tensor, how: Read) -> torch.Tensor:
    """Unit features (B, K, E) at cell coordinates; beyond the outermost centres, the outermost.

    bilinear mixes the four nearest cells, nearest takes the cell the point lies in.
    """
    batch, height, width, _ = map_BhwE.shape
    last = torch.tensor([width - 1, height - 1], dtype=at_BK2.dtype)
    at_BK2 = torch.minimum(at_BK2.clamp(min=0), last)
    row_B1 = torch.arange(batch)[:, None]
    if how == "nearest":
        x_BK, y_BK = (at_BK2 + 0.5).floor().long().unbind(-1)
        return map_BhwE[row_B1, y_BK.clamp(max=height - 1), x_BK.clamp(max=width - 1)]
    low_BK2 = at_BK2.floor()
    part_BK2 = (at_BK2 - low_BK2).to(map_BhwE.dtype)
    (x0, y0), (x1, y1) = (
        corner.long().unbind(-1) for corner in (low_BK2, torch.minimum(low_BK2 + 1, last))
    )
    a, b = (part.unsqueeze(-1) for part in part_BK2.unbind(-1))
    top = map_BhwE[row_B1, y0, x0] * (1 - a) + map_BhwE[row_B1, y0, x1] * a
    bottom = map_BhwE[row_B1, y1, x0] * (1 - a) + map_BhwE[row_B1, y1, x1] * a
    return normalize(top * (1 - b) + bottom * b, dim=-1)


def join_maps(
    maps_U: Sequence[torch.Tensor], views_U: Sequence[View], size_hw: SizeHW
) -> torch.Tensor:
    """One unit map of several encoders' features of a picture, on the grid of `common(views)`.

    Each map is read at the centres of the common cells, brought to unit length, and joined along
    the channels, so that every encoder counts alike.
    """
    if len(maps_U) == 1:
        return normalize(maps_U[0], dim=-1)
    grid = views_U[common_grid(views_U)]
    y_edges, x_edges = grid.edges(size_hw)
    y_h, x_w = ((e[1:] + e[:-1]) / 2 for e in (y_edges, x_edges))
    centres_P2 = np.stack([a.ravel() for a in np.meshgrid(x_w, y_h)], axis=1)
    parts = []
    for map_hwE, view in zip(maps_U, views_U, strict=True):
        at_1P2 = torch.from_numpy(cell_coordinates(centres_P2, view, size_hw))[None]
        parts.append(read_at(normalize(map_hwE, dim=-1)[None], at_1P2, "bilinear")[0])
    return normalize(torch.cat(parts, dim=-1), dim=-1).reshape(*grid.grid_hw, -1)


def common_grid(views_U: Sequence[View]) -> int:
    """Which of several encoders' grids they are joined on: the first of those with most cells."""
    cells = [view.grid_hw[0] * view.grid_hw[1] for view in views_U]
    return cells.index(max(cells))
