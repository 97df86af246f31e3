import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diglot.core.result import NOT_MEASURED
from diglot.metrics.auc import area_under_curve, auc_influence, auc_interval, weighted_auc
from diglot.metrics.bootstrap import mean_interval

ITEMS = st.lists(
    st.tuples(st.integers(-3, 3), st.booleans(), st.integers(0, 3)), min_size=1, max_size=20
)


def slow_auc(scores, positive, weights):
    """Every pair of a positive and a negative, ties a half; None without a pair."""
    wins = pairs = 0.0
    for s, p, w in zip(scores, positive, weights, strict=True):
        for t, q, v in zip(scores, positive, weights, strict=True):
            if p and not q:
                pairs += w * v
                wins += w * v * (1.0 if s > t else 0.5 if s == t else 0.0)
    return wins / pairs if pairs else None


@given(ITEMS)
def test_equals_the_loop_over_all_pairs(items):
    scores, positive, weights = (np.array(column) for column in zip(*items, strict=True))
    got = weighted_auc(scores.astype(float), positive, weights[None].astype(float))[0]
    want = slow_auc(scores, positive, weights)
    assert np.isnan(got) if want is None else got == pytest.approx(want)


@given(st.lists(st.tuples(st.integers(-5, 5), st.booleans()), min_size=2, max_size=20))
def test_turning_the_scores_round_mirrors_the_area(items):
    scores, positive = (np.array(column) for column in zip(*items, strict=True))
    if positive.any() and not positive.all():
        assert area_under_curve(scores, positive) + area_under_curve(
            -scores, positive
        ) == pytest.approx(1.0)
        assert area_under_curve(scores, positive) == area_under_curve(np.exp(scores), positive)


def test_a_score_of_the_name_alone_gets_exactly_half_on_matched_names():
    names = np.array([3.0, 1.0, 4.0, 1.0])
    assert area_under_curve(np.r_[names, names], [True] * 4 + [False] * 4) == 0.5


def test_interval_draws_images():
    rng = np.random.default_rng
    scores, positive, image = [3.0, 1.0, 2.0, 0.0], [True, False, True, False], [0, 0, 1, 1]
    got = auc_interval(scores, positive, image, generator=rng(0), draws=100)
    assert (got.value, got.low, got.high, got.n) == (1.0, 1.0, 1.0, 4)
    apart = auc_interval([1.0, 0.0], [True, False], [0, 1], generator=rng(0), draws=100)
    assert apart.value == 1.0  # half of the draws hold no pair: they are left out
    assert apart.low == apart.high == 1.0


def test_one_sided_or_empty_is_not_measured():
    generator = np.random.default_rng(0)
    assert auc_interval([1.0], [True], [0], generator=generator) == NOT_MEASURED
    assert auc_interval([], [], [], generator=generator) == NOT_MEASURED
    with pytest.raises(ValueError, match="positives and negatives"):
        area_under_curve([1.0, 2.0], [True, True])


@given(st.lists(st.tuples(st.integers(-5, 5), st.booleans()), min_size=2, max_size=20))
def test_the_parts_of_items_have_the_mean_and_the_spread_of_the_area(items):
    scores, positive = (np.array(column) for column in zip(*items, strict=True))
    if not positive.any() or positive.all():
        with pytest.raises(ValueError, match="positives and negatives"):
            auc_influence(scores, positive)
        return
    got, area = auc_influence(scores, positive), area_under_curve(scores, positive)
    assert got.mean() == pytest.approx(area)
    # DeLong et al. 1988, eqs. 4 to 6, with the sums over n in place of n - 1
    wins = [
        [1.0 if s > t else 0.5 if s == t else 0.0 for t in scores[~positive]]
        for s in scores[positive]
    ]
    of_positive, of_negative = np.mean(wins, axis=1), np.mean(wins, axis=0)
    variance = of_positive.var() / positive.sum() + of_negative.var() / (~positive).sum()
    assert ((got - area) ** 2).sum() / len(got) ** 2 == pytest.approx(variance, abs=1e-12)


def test_the_interval_of_the_parts_is_that_of_the_area():
    rng = np.random.default_rng(0)
    positive = np.arange(300) < 120
    scores, cluster = rng.normal(size=300) + positive, np.arange(300) // 3
    whole = auc_interval(scores, positive, cluster, generator=rng, draws=2000)
    parts = mean_interval(auc_influence(scores, positive), cluster, generator=rng, draws=2000)
    assert parts.value == pytest.approx(whole.value)
    assert (parts.low, parts.high) == pytest.approx((whole.low, whole.high), abs=0.01)
