"""Area under the ROC curve, with item weights, so that a bootstrap draw costs no new sorting.

Source: Hanley and McNeil 1982: the probability that a positive outscores a negative, ties a half.
Legend: N items, K sets of weights.
"""

from collections.abc import Sequence

import numpy as np

from diglot.core.result import Estimate
from diglot.metrics.bootstrap import DRAWS, weighted_interval


def weighted_auc(score_N: np.ndarray, positive_N: np.ndarray, weight_KN: np.ndarray) -> np.ndarray:
    """AUC under each set of weights, float64 (K,) in [0, 1]; NaN without a positive or a negative.

    weight_KN: how often each item counts, >= 0.
    """
    order = np.argsort(score_N, kind="stable")
    score, positive, weight = score_N[order], positive_N[order], weight_KN[:, order]
    starts = np.flatnonzero(np.r_[True, score[1:] != score[:-1]]) if len(score) else []
    if not len(starts):
        return np.full(len(weight_KN), np.nan)
    positives_KU = np.add.reduceat(weight * positive, starts, axis=1)  # U distinct scores
    negatives_KU = np.add.reduceat(weight * ~positive, starts, axis=1)
    below_KU = np.cumsum(negatives_KU, axis=1) - negatives_KU
    wins = (positives_KU * (below_KU + 0.5 * negatives_KU)).sum(axis=1)
    pairs = positives_KU.sum(axis=1) * negatives_KU.sum(axis=1)
    return np.divide(wins, pairs, out=np.full(len(wins), np.nan), where=pairs > 0)


def area_under_curve(
    score_N: Sequence[float] | np.ndarray, positive_N: Sequence[bool] | np.ndarray
) -> float:
    """AUC in [0, 1]. Raises ValueError unless there are positives and negatives."""
    score, positive = np.asarray(score_N, np.float64), np.asarray(positive_N, bool)
    if not positive.any() or positive.all():
        raise ValueError("AUC needs positives and negatives")
    return float(weighted_auc(score, positive, np.ones((1, len(score))))[0])


def auc_influence(
    score_N: Sequence[float] | np.ndarray, positive_N: Sequence[bool] | np.ndarray
) -> np.ndarray:
    """Each item's part in the AUC, float64 (N,): their mean is the AUC, their spread its own.

    An item's placement, the share of the other kind that it is on the right side of, is spread
    about the AUC by how few there are of its kind (the infinitesimal jackknife; DeLong, DeLong and
    Clarke-Pearson 1988, whose variance is the sum of squared deviations over N squared). So AUCs
    of the same items are compared like means. Values may lie outside [0, 1].

    Raises ValueError unless there are positives and negatives.
    """
    score, positive = np.asarray(score_N, np.float64), np.asarray(positive_N, bool)
    area = area_under_curve(score, positive)
    influence = np.empty(len(score))
    for kind, sign in ((positive, 1.0), (~positive, -1.0)):
        others = np.sort(sign * score[~kind])
        below = np.searchsorted(others, sign * score[kind], "left")
        upto = np.searchsorted(others, sign * score[kind], "right")
        placement = (below + upto) / 2 / len(others)  # ties a half
        influence[kind] = area + (placement - area) * len(score) / kind.sum()
    return influence


def auc_interval(
    score_N: Sequence[float] | np.ndarray,
    positive_N: Sequence[bool] | np.ndarray,
    cluster_N: Sequence[int] | np.ndarray,
    *,
    generator: np.random.Generator,
    draws: int = DRAWS,
) -> Estimate:
    """AUC with its interval over clusters; not measured without positives and negatives."""
    score, positive = np.asarray(score_N, np.float64), np.asarray(positive_N, bool)
    return weighted_interval(
        lambda weight_KN: weighted_auc(score, positive, weight_KN),
        cluster_N,
        generator=generator,
        draws=draws,
    )
