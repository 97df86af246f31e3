"""Which visual tokens take part in SEA's contrast, and under which label (SEA section 3.2, Eq. 9).

One token is drawn in every k x k window, then one of its labels by its share of the scores. The
paper draws a label for every token first; the pairs come out with the same probabilities. Windows
start at the top left of each view's grid, and a rest at the border is a smaller window: the paper
does not say, as its grids divide evenly.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from diglot.core.geometry import TokenGrid
from diglot.core.patch_labels import Labels

_KEYS = 2**62  # so many keys that two are never the same but for copies of one sample


@dataclass(frozen=True)
class DrawnLabel:
    """A visual token and the label drawn for it."""

    visual: int  # index among the image's visual tokens
    label: str
    key: int  # random: of the pairs that share a label, the one with the lowest key stays


def token_windows(grid: TokenGrid, side: int) -> np.ndarray:
    """The number of each visual token's window, int64 (P,); views share none."""
    numbers, first = [], 0
    for view in grid.views:
        rows, columns = (np.arange(length) // side for length in view.grid_hw)
        across, down = int(columns[-1]) + 1, int(rows[-1]) + 1
        numbers.append((first + rows[:, None] * across + columns).ravel())
        first += across * down
    return np.concatenate(numbers)


def draw_pairs(
    labels_P: Sequence[Labels], grid: TokenGrid, *, window: int, rng: torch.Generator
) -> list[DrawnLabel]:
    """One (token, label) of every window that has labels at all, in the order of the windows."""
    tokens = [p for p, labels in enumerate(labels_P) if labels]
    if not tokens:
        return []
    shuffled = np.array(tokens)[torch.randperm(len(tokens), generator=rng).numpy()]
    # np.unique finds the first of each window, and after a shuffle any may be the first
    _, first = np.unique(token_windows(grid, window)[shuffled], return_index=True)
    chosen = shuffled[first].tolist()
    labels = _draw_labels([labels_P[p] for p in chosen], rng)
    keys = torch.randint(_KEYS, (len(chosen),), generator=rng).tolist()
    return [DrawnLabel(*pair) for pair in zip(chosen, labels, keys, strict=True)]


def _draw_labels(labels: Sequence[Labels], rng: torch.Generator) -> list[str]:
    """One label of each row, with probability s / sum of s (Eq. 9)."""
    score_NL = torch.zeros(len(labels), max(map(len, labels)), dtype=torch.float64)
    for row, found in zip(score_NL, labels, strict=True):
        row[: len(found)] = torch.tensor([score for _, score in found], dtype=torch.float64)
    drawn = torch.multinomial(score_NL, 1, generator=rng)[:, 0].tolist()
    return [found[index][0] for found, index in zip(labels, drawn, strict=True)]
