"""Predicting where a source point lies in the target: the place of highest cosine similarity.

"Law of Vision Representation in MLLMs" section 3.2: features of the source at its key points, the
target's most similar location for each. Geometry `letterbox` pads both pictures to a square and
carries the points through the same affine map (core.geometry), so that pictures and points agree;
errors are measured on the original target. What the paper leaves open: a source feature is mixed
bilinearly from its neighbours, or is that of its cell; places on padding are never predicted, and a
cell cut by the picture's edge stands for its part inside; of equal places the first, row by row.
Legend: B pairs, K keypoints (the most of any pair in the batch), h w cells, H W places, E channels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from diglot.core.geometry import View
from diglot.data.pairs import Pair, PairImage
from diglot.measure.correspondence.config import MatchConfig
from diglot.measure.correspondence.maps import cell_coordinates, cell_places, read_at
from diglot.measure.correspondence.upsampling import enlarged_cosines


@dataclass(frozen=True)
class PairBatch:
    """Pairs whose maps have one shape, with the views that the maps were made under."""

    pairs: Sequence[Pair]
    source_BhwE: torch.Tensor  # float32, unit vectors
    target_BhwE: torch.Tensor
    source_views: Sequence[View]
    target_views: Sequence[View]

    @cached_property
    def keypoints(self) -> int:
        """K: the most points of any pair."""
        return max(len(pair.visible_K) for pair in self.pairs)

    @cached_property
    def scored_BK(self) -> np.ndarray:
        """Which points count, bool."""
        return self.padded([pair.scored_K for pair in self.pairs])

    def padded(self, rows: Sequence[np.ndarray]) -> np.ndarray:
        """Rows of each pair's points (K_b, ...) in one array (B, K, ...), zeros after the last."""
        out = np.zeros((len(rows), self.keypoints, *rows[0].shape[1:]), rows[0].dtype)
        for b, row in enumerate(rows):
            out[b, : len(row)] = row
        return out


@dataclass(frozen=True)
class Found:
    """Errors as a share of the target box's longer side, so a match is right where ratio < alpha.

    Meaningless at points that are not scored.
    """

    ratio_BK: np.ndarray  # of the predicted place
    best_BK: np.ndarray  # of the nearest place there is; NaN where any can be
    chance_BKA: np.ndarray  # share of all cells that would be right, for each alpha


def match_letterbox(batch: PairBatch, config: MatchConfig, alphas: Sequence[float]) -> Found:
    """Predict every target point of a batch and measure the errors on the original target."""
    at = [
        _point_cells(pair.source, view)
        for pair, view in zip(batch.pairs, batch.source_views, strict=True)
    ]
    source_BKE = read_at(batch.source_BhwE, torch.from_numpy(batch.padded(at)), config.read)
    cosine_BKHW = enlarged_cosines(source_BKE, batch.target_BhwE, config.upsample).numpy()
    found = []
    for pair, view, cosine_KHW in zip(batch.pairs, batch.target_views, cosine_BKHW, strict=True):
        count = len(pair.visible_K)
        found.append(_measure_pair(pair, view, cosine_KHW[:count], config.upsample, alphas))
    ratio, best, chance = (batch.padded(rows) for rows in zip(*found, strict=True))
    return Found(ratio, best, chance)


def _point_cells(side: PairImage, view: View) -> np.ndarray:
    return cell_coordinates(side.points_K2, view, side.size_hw)


def _measure_pair(
    pair: Pair, view: View, cosine_KHW: np.ndarray, upsample: int, alphas: Sequence[float]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One pair's ratio (K,), best (K,) and chance (K, A)."""
    fine = cell_places(view, pair.target.size_hw, upsample=upsample)
    rows, columns = _inside_slice(fine.inside_H), _inside_slice(fine.inside_W)
    y_H, x_W = fine.y_H[rows], fine.x_W[columns]
    inside_KHW = cosine_KHW[:, rows, columns]
    flat_KP = inside_KHW.reshape(len(inside_KHW), len(y_H) * len(x_W))
    row_K, column_K = np.divmod(flat_KP.argmax(1), len(x_W))
    true_K2 = pair.target.points_K2
    found_K2 = np.stack([x_W[column_K], y_H[row_K]], axis=1)
    ratio_K = np.linalg.norm(found_K2 - true_K2, axis=1) / pair.box_side
    away = [abs(v[None] - true_K2[:, [axis]]) for axis, v in ((0, x_W), (1, y_H))]
    best_K = np.hypot(*(a.min(axis=1) for a in away)) / pair.box_side
    cells = cell_places(view, pair.target.size_hw)
    centres = cells.x_W[cells.inside_W], cells.y_H[cells.inside_H]
    return ratio_K, best_K, share_within(true_K2, centres, pair.box_side, alphas)


def _inside_slice(inside: np.ndarray) -> slice:
    """The places inside, which follow one another."""
    found = np.flatnonzero(inside)
    return slice(int(found[0]), int(found[-1]) + 1)


def share_within(
    true_K2: np.ndarray,
    centres: tuple[np.ndarray, np.ndarray],
    box_side: float,
    alphas: Sequence[float],
) -> np.ndarray:
    """The share of cells (their centres' x, y) within each alpha of a point: (K, A)."""
    x_w, y_h = centres
    square_Khw = (y_h[None, :, None] - true_K2[:, 1, None, None]) ** 2
    square_Khw = square_Khw + (x_w[None, None] - true_K2[:, 0, None, None]) ** 2
    limits = (np.asarray(alphas) * box_side) ** 2
    return np.stack([(square_Khw < limit).mean(axis=(1, 2)) for limit in limits], axis=1)
