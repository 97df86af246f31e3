"""Intersection over union of a set of token cells with a mask, and the threshold that chooses it.

Exact in pixels where the cells do not overlap: a cell that the mask covers in part counts with that
part. Legend: P visual tokens, H thresholds, R items.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from diglot.core.geometry import TokenGrid
from diglot.core.types import SizeHW


@dataclass(frozen=True)
class Target:
    """What a mask is on a grid: areas in pixels of the original image."""

    covered_P: np.ndarray  # area of the mask within each cell
    area_P: np.ndarray  # area of the image within each cell; 0 on padding
    mask_px: float  # area of the whole mask, also where no cell reaches


def target_on_grid(grid: TokenGrid, mask_HW: np.ndarray) -> Target:
    """The mask on the cells of `grid`."""
    cells = grid.cells_P4
    cell_px = (cells[:, 2] - cells[:, 0]) * (cells[:, 3] - cells[:, 1])
    inside = grid.box_cover(_whole_box(grid.size_hw))
    return Target(grid.mask_cover(mask_HW) * cell_px, inside * cell_px, float(mask_HW.sum()))


def _whole_box(size_hw: SizeHW) -> tuple[float, float, float, float]:
    return 0.0, 0.0, float(size_hw[1]), float(size_hw[0])


def cells_iou(chosen_P: np.ndarray, target: Target) -> float:
    """IoU of the union of the chosen cells with the mask, in [0, 1]; 0 where both are empty."""
    intersection = float(target.covered_P[chosen_P].sum())
    union = float(target.area_P[chosen_P].sum()) + target.mask_px - intersection
    return min(1.0, intersection / union) if union > 0 else 0.0


def iou_by_threshold(
    score_P: np.ndarray, target: Target, threshold_H: Sequence[float] | np.ndarray
) -> np.ndarray:
    """IoU of the cells with score >= each threshold, float64 (H,) in [0, 1]."""
    order = np.argsort(-score_P, kind="stable")
    covered = np.r_[0.0, np.cumsum(target.covered_P[order])]
    area = np.r_[0.0, np.cumsum(target.area_P[order])]
    taken_H = np.searchsorted(-score_P[order], -np.asarray(threshold_H), side="right")
    intersection, union = covered[taken_H], area[taken_H] + target.mask_px - covered[taken_H]
    iou = np.divide(intersection, union, out=np.zeros(len(union)), where=union > 0)
    return np.minimum(iou, 1.0)


def best_iou(target: Target) -> float:
    """The largest IoU that any set of cells can reach: what the grid's coarseness allows.

    Cells enter by their covered share, best first: the optimum of a ratio of sums takes all cells
    above some share.
    """
    share = np.divide(
        target.covered_P,
        target.area_P,
        out=np.zeros(len(target.area_P)),
        where=target.area_P > 0,
    )
    return float(iou_by_threshold(share, target, np.unique(share)).max(initial=0.0))


def choose_threshold(
    score_RP: Sequence[np.ndarray], targets: Sequence[Target], *, steps: int = 101
) -> float:
    """The threshold with the largest mean IoU over the items; of equals the lowest.

    Candidates are `steps` quantiles of all scores, so the choice follows their range. Raises
    ValueError for no items.
    """
    if not len(score_RP):
        raise ValueError("no items to choose a threshold on")
    candidates = np.quantile(np.concatenate(score_RP), np.linspace(0, 1, steps))
    mean_H = np.mean(
        [iou_by_threshold(s, t, candidates) for s, t in zip(score_RP, targets, strict=True)], axis=0
    )
    return float(candidates[int(mean_H.argmax())])
