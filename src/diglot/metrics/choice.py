"""Choosing among candidates by score: the credit for one choice, and what chance would get.

Ties share the credit, so a scorer that says the same of all candidates gets exactly chance and the
order of the candidates never matters.
"""

import numpy as np


def choice_credit(score_C: np.ndarray, right_C: np.ndarray) -> float:
    """1 where the best-scored candidate is right, 0 where wrong; of ties the share that is right.

    score_C: C candidates' scores, higher is better; right_C: bool, any number of right ones.
    Raises ValueError for no candidates or a NaN score.
    """
    score_C, right_C = np.asarray(score_C, np.float64), np.asarray(right_C, bool)
    if not len(score_C) or np.isnan(score_C).any():
        raise ValueError(f"candidates need scores that are numbers, got {score_C}")
    return float(right_C[score_C == score_C.max()].mean())


def choice_chance(right_C: np.ndarray) -> float:
    """What a blind choice among the candidates gets, in [0, 1]. Raises ValueError for none."""
    if not len(right_C):
        raise ValueError("no candidates")
    return float(np.asarray(right_C, bool).mean())
