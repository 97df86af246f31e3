"""Matching pursuit: a visual token as a sum of few word embeddings.

Source: Patch-aligned, Algorithm 1: K times, the word with the largest product with what is left,
and its part taken away: r <- r - <w, r> w. The printed update is right for words of length 1 only,
so words are brought to length 1 first. As printed the largest product counts, not the largest in
size: parts are never negative but where no word points towards the rest.
Legend: P visual tokens, W words, D width.
"""

from dataclasses import dataclass

import numpy as np

from diglot.metrics.nearest import largest_products
from diglot.metrics.tacs import unit_rows


@dataclass(frozen=True)
class Pursuit:
    """What K steps found for each of P tokens."""

    word_PK: np.ndarray  # int64, index of the word of each step; one may come twice
    part_PK: np.ndarray  # float64, its product with what was left before the step
    left_PK: np.ndarray  # float64 in [0, 1], length of what is left after it over the token's own


def matching_pursuit(visual_PD: np.ndarray, word_WD: np.ndarray, *, steps: int) -> Pursuit:
    """`steps` greedy steps for every token; a zero token has 0 left.

    Raises ValueError without words or for fewer than one step.
    """
    if not len(word_WD) or steps < 1:
        raise ValueError(f"needs words and steps, got {len(word_WD)} words and {steps} steps")
    rest_PD = np.asarray(visual_PD, np.float64).copy()
    size_P = np.linalg.norm(rest_PD, axis=1)
    words, parts, left = [], [], []
    for _ in range(steps):
        word_P1, part_P1 = largest_products(rest_PD, word_WD)
        word_P, part_P = word_P1[:, 0], part_P1[:, 0]
        rest_PD -= part_P[:, None] * unit_rows(word_WD[word_P])
        rest_P = np.linalg.norm(rest_PD, axis=1)
        words.append(word_P)
        parts.append(part_P)
        left.append(np.divide(rest_P, size_P, out=np.zeros_like(rest_P), where=size_P > 0))
    return Pursuit(*(np.stack(x, axis=1) for x in (words, parts, left)))
