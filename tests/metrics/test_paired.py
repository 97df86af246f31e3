"""Paired differences and means of means against slow loops."""

import itertools

import numpy as np
import pytest

from diglot.metrics.paired import exchange_test, mean_of_means_interval, paired_difference


def test_p_equals_all_sign_patterns():
    rng = np.random.default_rng(0)
    cluster = rng.integers(0, 8, 40)
    difference = rng.normal(0.2, 1, 40)
    sums = [difference[cluster == c].sum() for c in range(8)]
    total = abs(sum(sums))
    flipped = [abs(np.dot(signs, sums)) for signs in itertools.product((-1, 1), repeat=8)]
    want = np.mean([value >= total - 1e-12 for value in flipped])
    got = exchange_test(difference, cluster, generator=np.random.default_rng(1))
    assert got == pytest.approx(want, abs=0.02)


def test_no_difference_and_no_items():
    generator = np.random.default_rng(0)
    estimate, p = paired_difference([1, 0, 1], [1, 0, 1], [0, 1, 2], generator=generator)
    assert (estimate.value, p) == (0, 1)
    estimate, p = paired_difference([], [], [], generator=generator)
    assert estimate.value is None
    assert p is None


def test_a_clear_difference_is_found():
    ones, zeros = [1.0] * 30, [0.0] * 30
    estimate, p = paired_difference(ones, zeros, range(30), generator=np.random.default_rng(0))
    assert estimate.value == 1
    assert p < 0.001


def test_mean_of_means_against_a_loop():
    rng = np.random.default_rng(0)
    values = [rng.random(20), rng.random(7)]
    clusters = [[f"s{i % 5}" for i in range(20)], [f"s{i % 4}" for i in range(7)]]
    got = mean_of_means_interval(values, clusters, generator=np.random.default_rng(3), draws=2000)
    assert got.value == pytest.approx((values[0].mean() + values[1].mean()) / 2)
    assert got.n == 27
    names, other = sorted({*clusters[0], *clusters[1]}), np.random.default_rng(9)
    drawn = []
    for _ in range(2000):
        picked = [names[i] for i in other.integers(0, len(names), len(names))]
        means = []
        for v, c in zip(values, clusters, strict=True):
            chosen = [v[i] for name in picked for i in range(len(v)) if c[i] == name]
            if chosen:
                means.append(np.mean(chosen))
        drawn.append(np.mean(means))
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert got.low == pytest.approx(low, abs=0.02)
    assert got.high == pytest.approx(high, abs=0.02)
