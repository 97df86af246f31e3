"""Intervals of figures that are no mean over items: the jackknife over groups of images.

A bootstrap would draw an image twice, and a repeated image is its own nearest neighbour and adds no
direction to a covariance. Leaving groups out repeats nothing. Source: Efron and Tibshirani 1993, An
Introduction to the Bootstrap, chapter 11.
"""

from collections.abc import Callable

import numpy as np

from diglot.core.result import NOT_MEASURED, Estimate

GROUPS = 10
NORMAL_95 = 1.959963984540054


def jackknife_groups(count: int, groups: int = GROUPS) -> np.ndarray:
    """The group of each of `count` images, int64 (count,): images take turns."""
    return np.arange(count) % max(1, min(groups, count))


def jackknife_interval(
    statistic: Callable[[np.ndarray], float | None], count: int, *, groups: int = GROUPS
) -> Estimate:
    """The statistic of all images with value +- 1.96 standard errors; n is `count`.

    `statistic(kept)` takes a bool array (groups,): which groups of `jackknife_groups` count. No
    interval where a part is not defined or there is one group; not measured where the whole is not.
    The interval knows no bounds of the statistic: `Estimate.within` cuts it to them.
    """
    sizes = max(1, min(groups, count))
    value = statistic(np.ones(sizes, dtype=bool)) if count else None
    if value is None:
        return NOT_MEASURED
    parts = [statistic(np.arange(sizes) != left_out) for left_out in range(sizes)]
    defined = [part for part in parts if part is not None]
    if len(defined) < sizes or sizes < 2:
        return Estimate(value=value, low=None, high=None, n=count)
    spread = np.square(np.array(defined) - np.mean(defined)).sum() * (sizes - 1) / sizes
    half = NORMAL_95 * float(spread) ** 0.5
    return Estimate(value=value, low=value - half, high=value + half, n=count)
