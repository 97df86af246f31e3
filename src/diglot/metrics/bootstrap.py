"""Percentile bootstrap over clusters: whole images are drawn again, not single items.

Items of one image share its pixels and its neighbours, so drawing items alone would give intervals
that are too narrow. Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 13
(percentile interval); Field and Welsh 2007 (cluster bootstrap).
Legend: N items, C clusters, K draws.
"""

from collections.abc import Callable, Sequence

import numpy as np

from diglot.core.result import NOT_MEASURED, Estimate

LEVEL = 0.95
DRAWS = 1000


def cluster_draws(clusters: int, draws: int, generator: np.random.Generator) -> np.ndarray:
    """How often each cluster is drawn, int64 (K, C): every row sums to C."""
    return generator.multinomial(clusters, np.full(clusters, 1 / clusters), size=draws)


def ratio_interval(
    numerator_N: Sequence[float] | np.ndarray,
    denominator_N: Sequence[float] | np.ndarray,
    cluster_N: Sequence[int] | np.ndarray,
    *,
    generator: np.random.Generator,
    draws: int = DRAWS,
) -> Estimate:
    """Sum of numerators over sum of denominators, with its interval; n is the number of items.

    A mean is the ratio with all denominators 1. Denominators are positive. No items: not measured.
    """
    numerator, denominator = (np.asarray(v, np.float64) for v in (numerator_N, denominator_N))
    if not len(numerator):
        return NOT_MEASURED
    _, cluster = np.unique(np.asarray(cluster_N), return_inverse=True)
    sums_2C = np.stack([np.bincount(cluster, weights=v) for v in (numerator, denominator)])
    drawn_2K = sums_2C @ cluster_draws(sums_2C.shape[1], draws, generator).T
    value = float(numerator.sum() / denominator.sum())
    return estimate_interval(value, drawn_2K[0] / drawn_2K[1], n=len(numerator))


def mean_interval(
    value_N: Sequence[float] | np.ndarray,
    cluster_N: Sequence[int] | np.ndarray,
    *,
    generator: np.random.Generator,
    draws: int = DRAWS,
) -> Estimate:
    """The mean of `value_N` and its 95% interval, from `draws` draws of whole clusters."""
    return ratio_interval(
        value_N, np.ones(len(value_N)), cluster_N, generator=generator, draws=draws
    )


def weighted_interval(
    statistic: Callable[[np.ndarray], np.ndarray],
    cluster_N: Sequence[int] | np.ndarray,
    *,
    generator: np.random.Generator,
    draws: int = DRAWS,
) -> Estimate:
    """Any statistic of weighted items, with its interval.

    `statistic` takes weights (K, N) and gives (K,); NaN where it is not defined for a draw (such
    draws are left out), or for the data at hand (then nothing is measured).
    """
    _, cluster = np.unique(np.asarray(cluster_N), return_inverse=True)
    if not len(cluster):
        return NOT_MEASURED
    value = float(statistic(np.ones((1, len(cluster))))[0])
    if np.isnan(value):
        return NOT_MEASURED
    drawn_KC = cluster_draws(int(cluster.max()) + 1, draws, generator)
    return estimate_interval(
        value, statistic(drawn_KC[:, cluster].astype(np.float64)), n=len(cluster)
    )


def estimate_interval(value: float, drawn_K: np.ndarray, *, n: int) -> Estimate:
    """The value with the central 95% of its bootstrap draws; NaN draws are left out."""
    defined = drawn_K[~np.isnan(drawn_K)]
    if not len(defined):
        return Estimate(value=value, low=None, high=None, n=n)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return Estimate(value=value, low=float(low), high=float(high), n=n)
