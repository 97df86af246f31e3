"""SEA's sampling and loss by the letter (Eq. 9-11): one pair, one word, one number at a time.

Shares nothing with diglot.objectives but the record of a pair.
"""

import math
from collections.abc import Sequence

import torch

from diglot.objectives.token_contrastive import LabelledToken

Placed = tuple[int, LabelledToken]  # where the image's visual tokens begin, and a pair of the image


def window_of(grid_hws: Sequence[tuple[int, int]], side: int) -> list[tuple[int, int, int]]:
    """(view, row, column) of the window of every visual token, token by token."""
    return [
        (view, row // side, column // side)
        for view, (rows, columns) in enumerate(grid_hws)
        for row in range(rows)
        for column in range(columns)
    ]


def one_per_label(pairs: Sequence[Placed]) -> list[Placed]:
    """Of the pairs that share a label, the one with the lowest key."""
    return [
        (start, pair)
        for start, pair in pairs
        if all(pair.key <= other.key for _, other in pairs if other.label == pair.label)
    ]


def cosine(a_D: torch.Tensor, b_D: torch.Tensor) -> torch.Tensor:
    dot = sum((a * b for a, b in zip(a_D, b_D, strict=True)), torch.zeros((), dtype=a_D.dtype))
    norms = [
        sum((v * v for v in vector), torch.zeros((), dtype=a_D.dtype)) for vector in (a_D, b_D)
    ]
    return dot / (norms[0].sqrt() * norms[1].sqrt())


def naive_losses(
    pairs: Sequence[Placed],
    visual_ND: torch.Tensor,
    words_VD: torch.Tensor,
    log_scale: torch.Tensor,
) -> list[torch.Tensor]:
    """Eq. 11's bracket over -2 for each pair; the paper's loss is their mean."""
    x = [visual_ND[start + pair.visual] for start, pair in pairs]
    t = []
    for _, pair in pairs:  # Eq. 10
        total = words_VD[0] * 0
        for token in pair.ids:
            total = total + words_VD[token]
        t.append(total / len(pair.ids))
    temperature = 1 / torch.exp(log_scale)
    losses = []
    for i in range(len(pairs)):
        own = torch.exp(cosine(x[i], t[i]) / temperature)
        over_t = sum((torch.exp(cosine(x[i], t_j) / temperature) for t_j in t), own * 0)
        over_x = sum((torch.exp(cosine(t[i], x_j) / temperature) for x_j in x), own * 0)
        losses.append(-(torch.log(own / over_t) + torch.log(own / over_x)) / 2)
    return losses


def shares(scores: Sequence[float]) -> list[float]:
    """Eq. 9."""
    return [score / math.fsum(scores) for score in scores]
