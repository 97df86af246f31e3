import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diglot.core.result import NOT_MEASURED, Estimate
from diglot.metrics.bootstrap import (
    cluster_draws,
    estimate_interval,
    mean_interval,
    ratio_interval,
    weighted_interval,
)


def rng(seed=0):
    return np.random.default_rng(seed)


def slow_ratio_interval(numerator, denominator, cluster, draws, generator):
    """Draw clusters one by one, pool their items, take the ratio, sort the draws."""
    labels = sorted(set(cluster))
    values = []
    for row in generator.multinomial(len(labels), [1 / len(labels)] * len(labels), size=draws):
        top = bottom = 0.0
        for label, times in zip(labels, row, strict=True):
            for _ in range(times):
                for i, own in enumerate(cluster):
                    if own == label:
                        top, bottom = top + numerator[i], bottom + denominator[i]
        values.append(top / bottom)
    return np.quantile(values, 0.025), np.quantile(values, 0.975)


def test_equals_a_slow_loop_over_drawn_clusters():
    numerator, denominator = [1.0, 0.0, 2.0, 5.0, 3.0], [1.0, 2.0, 2.0, 4.0, 1.0]
    cluster = [7, 7, 3, 9, 3]
    got = ratio_interval(numerator, denominator, cluster, generator=rng(4), draws=50)
    low, high = slow_ratio_interval(numerator, denominator, cluster, 50, rng(4))
    assert got.value == pytest.approx(11 / 10)
    assert (got.low, got.high) == (pytest.approx(low), pytest.approx(high))
    assert got.n == 5


def test_every_draw_has_as_many_clusters_as_there_are():
    assert (cluster_draws(7, 100, rng()).sum(axis=1) == 7).all()


def test_clusters_widen_the_interval_where_their_items_agree():
    value = np.repeat(rng(1).integers(0, 2, 30), 10)
    together = mean_interval(value, np.repeat(np.arange(30), 10), generator=rng())
    alone = mean_interval(value, np.arange(300), generator=rng())
    assert together.high - together.low > 2 * (alone.high - alone.low)


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    hits = 0
    for seed in range(200):
        value = (rng(seed).random(100) < 0.3).astype(float)
        got = mean_interval(value, np.arange(100), generator=rng(seed), draws=400)
        hits += got.low <= 0.3 <= got.high
    assert 0.88 <= hits / 200 <= 0.99


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 5)), min_size=1, max_size=30))
def test_interval_is_ordered_within_the_values(items):
    values, clusters = zip(*items, strict=True)
    got = mean_interval(values, clusters, generator=rng(), draws=50)
    assert min(values) - 1e-9 <= got.low <= got.high <= max(values) + 1e-9
    assert got.value == pytest.approx(np.mean(values))


def test_same_seed_same_interval_and_no_items_not_measured():
    one, two = (mean_interval([0, 1, 1], [0, 1, 2], generator=rng(3)) for _ in range(2))
    assert one == two
    assert mean_interval([], [], generator=rng()) == NOT_MEASURED
    assert weighted_interval(lambda w: w.sum(axis=1), [], generator=rng()) == NOT_MEASURED


def test_weighted_interval_of_a_mean_is_the_mean_interval():
    value, cluster = np.array([0.0, 1.0, 0.5, 0.25]), [0, 0, 1, 2]
    got = weighted_interval(lambda w: w @ value / w.sum(axis=1), cluster, generator=rng(5))
    assert got == mean_interval(value, cluster, generator=rng(5))


def test_undefined_draws_are_left_out_and_never_become_nan():
    assert estimate_interval(0.5, np.array([np.nan, 0.4, 0.6]), n=3).low == pytest.approx(0.405)
    assert estimate_interval(0.5, np.array([np.nan]), n=1) == Estimate(
        value=0.5, low=None, high=None, n=1
    )
    undefined = weighted_interval(lambda w: np.full(len(w), np.nan), [0, 1], generator=rng())
    assert undefined == NOT_MEASURED


def test_estimate_to_json():
    assert NOT_MEASURED.to_json() == {"value": None, "low": None, "high": None, "n": 0}
