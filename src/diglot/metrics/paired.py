"""Two models on the same items: the mean difference with its interval, and a test of it.

Interval: percentile bootstrap over clusters (images). Test: under no difference the two models'
scores on an image may be exchanged, so the sign of each image's summed difference is random
(Fisher's randomisation test; Noreen 1989, Computer-Intensive Methods for Testing Hypotheses).
Legend: N items, C clusters, K draws.
"""

from collections.abc import Sequence

import numpy as np

from diglot.core.result import Estimate
from diglot.metrics.bootstrap import DRAWS, mean_interval

FLIPS = 10_000


def paired_difference(
    first_N: Sequence[float] | np.ndarray,
    second_N: Sequence[float] | np.ndarray,
    cluster_N: Sequence[int] | np.ndarray,
    *,
    generator: np.random.Generator,
    draws: int = DRAWS,
) -> tuple[Estimate, float | None]:
    """Mean of first - second over the items, and the two-sided p of no difference.

    No items: not measured, and no p. p is at least 1 / (FLIPS + 1), and 1 where nothing differs.
    """
    difference_N = np.asarray(first_N, np.float64) - np.asarray(second_N, np.float64)
    estimate = mean_interval(difference_N, cluster_N, generator=generator, draws=draws)
    if not len(difference_N):
        return estimate, None
    return estimate, exchange_test(difference_N, cluster_N, generator=generator)


def exchange_test(
    difference_N: np.ndarray,
    cluster_N: Sequence[int] | np.ndarray,
    *,
    generator: np.random.Generator,
    flips: int = FLIPS,
) -> float:
    """The share of random signs of the clusters' sums whose total is as far from 0 as theirs."""
    _, cluster = np.unique(np.asarray(cluster_N), return_inverse=True)
    sum_C = np.bincount(cluster, weights=difference_N)
    sum_C = sum_C[sum_C != 0]  # the others change no total
    total, extreme = abs(sum_C.sum()), 0
    for start in range(0, flips, 1000):  # in blocks, for memory
        size = (min(1000, flips - start), len(sum_C))
        signs_KC = 2 * generator.integers(0, 2, size=size) - 1
        extreme += int((np.abs(signs_KC @ sum_C) >= total - 1e-12).sum())
    return (extreme + 1) / (flips + 1)


def mean_of_means_interval(
    values: Sequence[Sequence[float] | np.ndarray],
    clusters: Sequence[Sequence[int] | Sequence[str] | np.ndarray],
    *,
    generator: np.random.Generator,
    draws: int = DRAWS,
) -> Estimate:
    """The plain mean of several sets' means, with its interval; a cluster may have items in all.

    A draw in which a set has no item leaves that set out. n is the number of items of all sets.
    """
    every, at = np.unique(np.concatenate([np.asarray(c) for c in clusters]), return_inverse=True)
    drawn_KC = generator.multinomial(len(every), np.full(len(every), 1 / len(every)), size=draws)
    means, starts = [], np.cumsum([0, *(len(c) for c in clusters)])
    for value_N, start, stop in zip(values, starts[:-1], starts[1:], strict=True):
        own = at[start:stop]
        sum_C = np.bincount(own, weights=np.asarray(value_N, np.float64), minlength=len(every))
        count_C = np.bincount(own, minlength=len(every))
        with np.errstate(invalid="ignore"):
            means.append((drawn_KC @ sum_C) / (drawn_KC @ count_C))
    tail = np.nanquantile(np.nanmean(means, axis=0), [0.025, 0.975])
    value = float(np.mean([np.mean(value_N) for value_N in values]))
    return Estimate(value=value, low=float(tail[0]), high=float(tail[1]), n=int(starts[-1]))
