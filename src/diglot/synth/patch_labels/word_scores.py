"""The best words of every patch among any number of words, without the whole matrix of scores.

SEA section 3.1: s_ij = sign * cos(v_i, t_j); the n best of each patch stay, scores below 0 go.
Legend: M patches, W words of one piece of the list, C channels of the joint space, n kept.
"""

from collections.abc import Iterable

import torch


def best_words(
    patch_MC: torch.Tensor, pieces: Iterable[tuple[int, torch.Tensor]], *, keep: int, sign: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Numbers int64 (M, n) and scores float32 (M, n) of the best words, best first.

    `pieces` are (number of the first word, vectors (W, C)); all vectors are of length 1. n is
    `keep`, or the length of a shorter list. Of equal scores the word that comes first wins.
    """
    found = patch_MC.new_empty(len(patch_MC), 0)
    number = torch.empty(len(patch_MC), 0, dtype=torch.int64, device=patch_MC.device)
    for first, word_WC in pieces:
        score_MW = sign * (patch_MC @ word_WC.to(patch_MC).T)
        own = _first_of_best(score_MW, min(keep, len(word_WC)))
        found = torch.cat([found, score_MW.gather(1, own)], dim=1)
        number = torch.cat([number, own + first], dim=1)
        order = found.sort(dim=1, descending=True, stable=True).indices[:, :keep]
        found, number = found.gather(1, order), number.gather(1, order)
    return number, found.float()


def _first_of_best(score_MW: torch.Tensor, keep: int) -> torch.Tensor:
    """Columns (M, keep) of the best scores in rising order; of equal scores the first columns.

    topk alone is many times faster than sorting, but picks any of equal scores: only the rows where
    that matters are sorted.
    """
    best = score_MW.topk(keep, dim=1, sorted=True)
    columns = best.indices
    tied_M = (score_MW >= best.values[:, -1:]).sum(dim=1) > keep
    if tied_M.any():
        whole = score_MW[tied_M].sort(dim=1, descending=True, stable=True).indices
        columns[tied_M] = whole[:, :keep]
    return columns.sort(dim=1).values
