"""Cosines with a bilinearly enlarged feature map, without enlarging the features themselves.

A place between four cells has the feature f = sum w_i f_i. Its product with a source feature is
the same mixture of the four products, so the similarities are enlarged instead; its length needs
only the products of neighbouring cells. Exact, and E times cheaper (E in the thousands).
Legend: B pairs, K keypoints, h w cells, H W places, E channels.
"""

import torch
from torch.nn.functional import interpolate, pad

_TINY = 1e-12


def enlarged_cosines(
    source_BKE: torch.Tensor, target_BhwE: torch.Tensor, factor: int
) -> torch.Tensor:
    """Cosine of each source feature with the target map enlarged `factor` times: (B, K, H, W).

    Both hold unit vectors. Enlarging is bilinear, with cell centres kept (align_corners=False).
    """
    products = torch.einsum("bke,bhwe->bkhw", source_BKE, target_BhwE)
    if factor == 1:
        return products
    enlarged = interpolate(products, scale_factor=factor, mode="bilinear", align_corners=False)
    return enlarged / enlarged_lengths(target_BhwE, factor)[:, None]


def enlarged_lengths(map_BhwE: torch.Tensor, factor: int) -> torch.Tensor:
    """Length of the mixed feature at every place of the enlarged map, (B, H, W)."""
    grown = map_BhwE.movedim(-1, 1)
    grown = pad(grown, (0, 1, 0, 1), mode="replicate").movedim(1, -1)  # a last cell's neighbour
    f00, f01, f10, f11 = (grown[:, i : i + h, j : j + w] for i, j, h, w in _list_corners(map_BhwE))
    y_H, b_H1 = _low_and_part(map_BhwE.shape[1], factor)
    x_W, a_W = _low_and_part(map_BhwE.shape[2], factor)
    b_H1 = b_H1[:, None]
    w00, w01, w10, w11 = (1 - b_H1) * (1 - a_W), (1 - b_H1) * a_W, b_H1 * (1 - a_W), b_H1 * a_W
    mixed = [(w00, w00, f00, f00), (w01, w01, f01, f01), (w10, w10, f10, f10)]
    mixed += [(w11, w11, f11, f11), (2 * w00, w01, f00, f01), (2 * w10, w11, f10, f11)]
    mixed += [(2 * w00, w10, f00, f10), (2 * w01, w11, f01, f11)]
    mixed += [(2 * w00, w11, f00, f11), (2 * w01, w10, f01, f10)]
    square_BHW = torch.zeros(len(map_BhwE), len(y_H), len(x_W), dtype=map_BhwE.dtype)
    for v, w, first, second in mixed:
        square_BHW += v * w * (first * second).sum(-1)[:, y_H][:, :, x_W]
    return square_BHW.clamp(min=_TINY).sqrt()


def _list_corners(map_BhwE: torch.Tensor) -> list[tuple[int, int, int, int]]:
    _, height, width, _ = map_BhwE.shape
    return [(i, j, height, width) for i in (0, 1) for j in (0, 1)]


def _low_and_part(cells: int, factor: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The cell before each place, and how far the place is on the way to the next, in [0, 1)."""
    at = ((torch.arange(cells * factor) + 0.5) / factor - 0.5).clamp(min=0)
    low = at.floor()
    return low.long(), at - low
