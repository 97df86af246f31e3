"""The correspondence score as the authors' public code computes it, to compare with Table 4.

Pictures are squashed to a square while the points are letterboxed, so points miss their features on
pictures that are not square; every encoder gets (x - 0.5) / 0.5; a source point takes its cell's
feature; the target place is a soft-argmax at temperature 0.02 whose similarities beyond a window
around the best cell are set to 0 (not left out); a cell's place is its corner plus the whole half
of its side; lengths are those of an 840-px square; scores are a mean over each pair's points, then
over the pairs of a category, then over categories weighted by their pairs. Window 5 is that of
their zero-shot settings (7 the default of the code they build on).
Legend: B pairs, K keypoints, h w cells (G = h = w), E channels.
"""

from collections.abc import Sequence

import numpy as np
import torch

from diglot.core.errors import ConfigError
from diglot.data.pairs import PairImage
from diglot.measure.correspondence.config import WINDOW_CELLS
from diglot.measure.correspondence.matching import Found, PairBatch, share_within

SQUARE_PX = 840
TEMPERATURE = 0.02
MEAN = STD = (0.5, 0.5, 0.5)
RESAMPLE = "bicubic"  # what Pillow takes where none is named


def match_law_compat(
    batch: PairBatch, alphas: Sequence[float], *, window: int = WINDOW_CELLS
) -> Found:
    """Predict every target point of a batch; errors as shares of the letterboxed box's side.

    `best` is NaN: a soft-argmax may lie anywhere. Raises ConfigError for maps that are not square.
    """
    _, height, width, _ = batch.target_BhwE.shape
    if height != width:
        raise ConfigError(
            "law_compat takes square feature maps", got=f"{height} x {width}", where="geometry"
        )
    true = [letterbox_points(pair.target) for pair in batch.pairs]
    at = [letterbox_points(pair.source) for pair in batch.pairs]
    cell_BK2 = torch.from_numpy(batch.padded(at) * (width / SQUARE_PX)).long()
    x_BK, y_BK = cell_BK2.clamp(0, width - 1).unbind(-1)
    row_B1 = torch.arange(len(batch.pairs))[:, None]
    source_BKE = batch.source_BhwE[row_B1, y_BK, x_BK]
    cosine_BKhw = torch.einsum("bke,bhwe->bkhw", source_BKE, batch.target_BhwE)
    found_BK2 = _place_cell(soft_argmax(cosine_BKhw, window).numpy().astype(np.float64), width)
    side_B1 = np.array([_box_side(pair.target, pair.box_side) for pair in batch.pairs])[:, None]
    ratio_BK = np.linalg.norm(found_BK2 - batch.padded(true), axis=-1) / side_B1
    centres = _place_cell(np.arange(width, dtype=np.float64), width)
    chance = [
        share_within(points, (centres, centres), float(side), alphas)
        for points, (side,) in zip(true, side_B1, strict=True)
    ]
    return Found(ratio_BK, np.full_like(ratio_BK, np.nan), batch.padded(chance))


def soft_argmax(cosine_BKhw: torch.Tensor, window: int) -> torch.Tensor:
    """The expected cell xy (B, K, 2) under softmax(similarity / 0.02), 0 beyond the window."""
    batch, count, height, width = cosine_BKhw.shape
    best_BK = cosine_BKhw.flatten(2).argmax(-1)
    y, x = torch.arange(height), torch.arange(width)
    near_y = (y - (best_BK // width)[..., None]).abs() <= window
    near_x = (x - (best_BK % width)[..., None]).abs() <= window
    kept = cosine_BKhw * (near_y[..., :, None] & near_x[..., None, :])
    share = (kept / TEMPERATURE).flatten(2).softmax(-1).view(batch, count, height, width)
    return torch.stack([(share.sum(-2) * x).sum(-1), (share.sum(-1) * y).sum(-1)], dim=-1)


def letterbox_points(side: PairImage) -> np.ndarray:
    """The points in the 840-px square their picture would be padded to, xy (K, 2).

    The picture is resized first, as the Law's code does, then padded, by one pixel more at the
    bottom right than at the top left where that is odd.
    """
    height, width = (max(1, round(length * _pixel_scale(side))) for length in side.size_hw)
    before = np.array([(SQUARE_PX - width) // 2, (SQUARE_PX - height) // 2])
    return side.points_K2 * _pixel_scale(side) + before


def _pixel_scale(side: PairImage) -> float:
    return SQUARE_PX / max(side.size_hw)


def _box_side(target: PairImage, side_px: float) -> float:
    return side_px * _pixel_scale(target)


def _place_cell(cell: np.ndarray, cells: int) -> np.ndarray:
    stride = SQUARE_PX / cells
    return cell * stride + stride // 2
