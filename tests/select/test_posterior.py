"""The posterior against plain Gaussian algebra, and its indifference to units."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diglot.select.paper_data import paper_law
from diglot.select.policies.own_policy import OwnPolicy
from diglot.select.policies.policy import State
from diglot.select.posterior import FLAT, INVERSE_SCALES, condition_prior
from diglot.select.prior import PriorConfig, learn_prior, related_prior, standardise_results

LAW = paper_law()


def state_with(rows, values, count=15):
    results_PK = np.full((1, count), np.nan)
    results_PK[0, rows] = values
    return State(
        scores_KF=LAW.scores_K2[:count],
        results_PK=results_PK,
        open_PK=np.ones((1, count), dtype=bool),
    )


def slow_mean(mean_K, covariance_KK, rows, values):
    """Posterior mean over the grid of scales, one dense Gaussian conditioning each."""
    values = np.asarray(values, dtype=float)
    place, spread = values.mean(), values.std()
    standard_N = (values - place) / spread
    placed_KK = covariance_KK + FLAT
    covariance_NN = placed_KK[np.ix_(rows, rows)]
    weights = []
    for inverse in INVERSE_SCALES:
        left_N = standard_N * inverse - mean_K[rows]
        # density of the results given the scale, times d place (one factor of the scale back)
        weights.append(
            np.exp(-0.5 * left_N @ np.linalg.solve(covariance_NN, left_N))
            * inverse ** (len(rows) - 1)
        )
    inverse = np.average(INVERSE_SCALES, weights=weights)
    gain_KN = np.linalg.solve(covariance_NN, placed_KK[rows]).T
    expected_K = (gain_KN @ (standard_N * inverse - mean_K[rows]) + mean_K) / inverse
    return place + spread * expected_K


def test_the_mean_equals_dense_conditioning():
    prior = learn_prior(LAW.scores_K2, LAW.results_BK[1:], PriorConfig(smooth=0.3))
    rows, values = [0, 4, 7, 9], [60.0, 66.0, 67.0, 33.0]
    state = state_with(rows, values)
    mean_PK, covariance_PKK = prior.mean(state), prior.covariance(state)
    found_K = condition_prior(state, mean_PK, covariance_PKK).mean()[0]
    expected_K = slow_mean(mean_PK[0], covariance_PKK[0], rows, values)
    np.testing.assert_allclose(found_K, expected_K, rtol=1e-3)
    np.testing.assert_allclose(found_K[rows], values)


def test_draws_keep_results_and_agree_with_the_mean():
    prior = learn_prior(LAW.scores_K2, LAW.results_BK[1:], PriorConfig())
    rows = [0, 1, 4, 5, 7, 8, 9, 11]
    state = state_with(rows, LAW.results_BK[0, rows])
    belief = condition_prior(state, prior.mean(state), prior.covariance(state))
    drawn_DK = belief.draw(4000, np.random.default_rng(0))[0]
    np.testing.assert_allclose(drawn_DK[:, rows], np.tile(LAW.results_BK[0, rows], (4000, 1)))
    np.testing.assert_allclose(np.median(drawn_DK, axis=0), belief.mean()[0], atol=1.5)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    count=st.integers(2, 8),
    factor=st.floats(0.01, 1000),
    shift=st.floats(-1e4, 1e4),
)
def test_the_ranking_does_not_depend_on_the_unit(seed, count, factor, shift):
    rng = np.random.default_rng(seed)
    rows = rng.permutation(15)[:count]
    prior = learn_prior(LAW.scores_K2, LAW.results_BK[1:], PriorConfig())
    policy = OwnPolicy(prior=prior, draws=0)
    values = rng.normal(size=count)
    plain = policy.rank(state_with(rows, values), rng).key_PK[0]
    scaled = policy.rank(state_with(rows, factor * values + shift), rng).key_PK[0]
    np.testing.assert_allclose(scaled, factor * plain + shift, rtol=1e-5, atol=1e-5 * factor)


def test_two_equal_results_are_no_trouble():
    prior = learn_prior(LAW.scores_K2, LAW.results_BK[1:], PriorConfig())
    ranking = OwnPolicy(prior=prior).rank(state_with([0, 1], [5.0, 5.0]), np.random.default_rng(0))
    assert np.isfinite(ranking.key_PK).all()


def test_a_crossfitted_setting_is_predicted_without_its_own_results():
    """Its weights are those of a prior learned with its column of standardised results deleted."""
    config = PriorConfig(degrees=(1,), ridges=(1.0,))
    standard_BK = standardise_results(LAW.results_BK)
    crossfitted = learn_prior(LAW.scores_K2, LAW.results_BK, config, crossfit=True)
    scores_KF = (LAW.scores_K2 - LAW.scores_K2.mean(axis=0)) / LAW.scores_K2.std(axis=0)
    design_NQ = np.column_stack([np.ones(14), np.delete(scores_KF, 3, axis=0)])
    target_N = np.delete(standard_BK.mean(axis=0), 3)
    penalty_QQ = np.diag([0.0, 1.0, 1.0])
    weights_Q = np.linalg.solve(design_NQ.T @ design_NQ + penalty_QQ, design_NQ.T @ target_N)
    np.testing.assert_allclose(crossfitted.weights[3, :3], weights_Q)
    np.testing.assert_array_equal(crossfitted.weights[3, 3:], 0)


def test_related_results_are_expected_again():
    prior = related_prior(LAW.scores_K2, LAW.results_BK[1:], PriorConfig())
    state = state_with([], [])
    np.testing.assert_allclose(
        prior.mean(state)[0], standardise_results(LAW.results_BK[1:]).mean(axis=0)
    )
    one = related_prior(LAW.scores_K2, LAW.results_BK[:1], PriorConfig())
    assert one.variance == pytest.approx(1.0)
