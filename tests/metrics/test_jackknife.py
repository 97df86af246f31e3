import numpy as np
import pytest

from diglot.core.result import NOT_MEASURED
from diglot.metrics.jackknife import jackknife_groups, jackknife_interval


def test_of_a_mean_it_is_the_standard_error():
    value = np.random.default_rng(0).normal(size=10)
    got = jackknife_interval(lambda kept: float(value[kept].mean()), 10)
    half = 1.959963984540054 * value.std(ddof=1) / 10**0.5
    assert got.value == pytest.approx(value.mean())
    assert (got.low, got.high) == pytest.approx((value.mean() - half, value.mean() + half))
    assert got.n == 10


def test_edges():
    assert jackknife_interval(lambda kept: 1.0, 0) == NOT_MEASURED
    assert jackknife_interval(lambda kept: None, 5) == NOT_MEASURED
    assert jackknife_interval(lambda kept: 1.0, 1).low is None
    assert jackknife_interval(lambda kept: 1.0 if kept.all() else None, 5).low is None
    assert jackknife_groups(12, 5).tolist() == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1]
