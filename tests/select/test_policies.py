"""Policies: what they may see, how they sample, and hand-computed rankings."""

import numpy as np
import pytest

from diglot.select.law import design_matrix
from diglot.select.paper_data import paper_law
from diglot.select.policies.baselines import ColumnOrder, RandomOrder
from diglot.select.policies.own_policy import OwnPolicy, best_chance, top3_chance
from diglot.select.policies.paper_policy import (
    PaperChoices,
    PaperPolicy,
    predict_results,
    sample_region,
)
from diglot.select.policies.policy import State, ahead_of_rest
from diglot.select.prior import PriorConfig, learn_prior, plain_prior, related_prior
from diglot.select.recall import place_of, random_pools, simulate_policy, whole_pool

LAW = paper_law()
CORNERS = np.array([[0.0, 0.0], [0.1, 0.1], [1.0, 1.0], [0.9, 0.1]])


def state_of(scores_KF, results_PK):
    results_PK = np.atleast_2d(np.asarray(results_PK, dtype=float))
    open_PK = np.ones(results_PK.shape, dtype=bool)
    return State(scores_KF=scores_KF, results_PK=results_PK, open_PK=open_PK)


def all_policies():
    prior = learn_prior(LAW.scores_K2, LAW.results_BK[1:], PriorConfig())
    related = related_prior(LAW.scores_K2, LAW.results_BK[1:], PriorConfig())
    return [
        RandomOrder(),
        ColumnOrder(),
        ColumnOrder(use_results=True),
        PaperPolicy(),
        OwnPolicy(prior=prior, draws=0),
        OwnPolicy(prior=prior, next_by="best", rank_by="best", draws=32),
        OwnPolicy(prior=related, draws=0),
        OwnPolicy(prior=plain_prior(2, PriorConfig()), draws=0),
    ]


class Recorder:
    """Passes everything on to a policy, and keeps every ranking and the last state."""

    def __init__(self, policy):
        self.policy, self.keys, self.state = policy, [], None

    def rank(self, state, rng):
        self.state = state
        ranking = self.policy.rank(state, rng)
        self.keys.append(ranking.key_PK)
        return ranking

    def choose(self, state, ranking, rng):
        return self.policy.choose(state, ranking, rng)


@pytest.mark.parametrize("policy", all_policies(), ids=lambda p: type(p).__name__)
def test_results_not_paid_for_change_nothing(policy):
    """Other results for the settings never fine-tuned give the same rankings, bit for bit."""
    truth_PK, open_PK = whole_pool(LAW.results_BK[0], 6)
    first = Recorder(policy)
    rng = np.random.default_rng(0)
    simulate_policy(first, LAW.scores_K2, truth_PK, open_PK, budget=5, rng=rng)
    assert first.state is not None
    unseen_PK = ~first.state.observed_PK
    assert (unseen_PK.sum(axis=1) == 10).all()
    other_PK = np.where(unseen_PK, 1000.0 - truth_PK, truth_PK)
    second = Recorder(policy)
    rng = np.random.default_rng(0)
    simulate_policy(second, LAW.scores_K2, other_PK, open_PK, budget=5, rng=rng)
    np.testing.assert_array_equal(np.stack(first.keys), np.stack(second.keys))


@pytest.mark.parametrize("policy", all_policies(), ids=lambda p: type(p).__name__)
def test_a_closed_setting_is_neither_chosen_nor_ranked_first(policy):
    rng = np.random.default_rng(1)
    open_PK = random_pools(15, 6, 20, rng)
    results_PK = np.full(open_PK.shape, np.nan)
    for _ in range(5):
        state = State(scores_KF=LAW.scores_K2, results_PK=results_PK, open_PK=open_PK)
        ranking = policy.rank(state, rng)
        top_PK = np.argsort(-ranking.key_PK, axis=1)[:, :6]
        assert np.take_along_axis(open_PK, top_PK, 1).all()
        choice_P1 = policy.choose(state, ranking, rng)[:, None]
        assert np.take_along_axis(open_PK, choice_P1, 1).all()
        np.put_along_axis(results_PK, choice_P1, rng.normal(size=(20, 1)), 1)


def test_regions_with_a_sample_are_left_out():
    """4 regions: settings 0 and 1 share one; with 0 sampled, 1 cannot be drawn at that level."""
    choices = PaperChoices(level="exhausted")
    results_PK = np.full((200, 4), np.nan)
    results_PK[:, 0] = 1.0
    drawn_P = sample_region(state_of(CORNERS, results_PK), choices, np.random.default_rng(0))
    assert set(drawn_P.tolist()) == {2, 3}
    results_PK[:, 2:] = 1.0  # level 1 is used up: one level deeper separates 0 and 1 at 16 x 16
    drawn_P = sample_region(state_of(CORNERS, results_PK), choices, np.random.default_rng(0))
    assert set(drawn_P.tolist()) == {1}


@pytest.mark.parametrize(("draw", "share"), [("region", 1 / 3), ("setting", 1 / 2)])
def test_regions_or_settings_are_drawn_alike(draw, share):
    """Three regions, one of two settings: it is drawn in 1/3 of runs, or in 2/4."""
    state = state_of(CORNERS, np.full((6000, 4), np.nan))
    drawn_P = sample_region(state, PaperChoices(draw=draw), np.random.default_rng(0))
    assert np.mean(drawn_P < 2) == pytest.approx(share, abs=0.03)


def test_settings_of_equal_scores_can_still_be_sampled():
    scores_KF = np.zeros((3, 2))
    state = state_of(scores_KF, np.full((50, 3), np.nan) * [[1, 1, 1]])
    assert set(sample_region(state, PaperChoices(), np.random.default_rng(0)).tolist()) == {0, 1, 2}


@pytest.mark.parametrize("solver", ["centred", "plain"])
def test_the_fit_equals_least_squares_run_by_run(solver):
    rng = np.random.default_rng(4)
    scores_KF = rng.random((10, 2))
    scores_KF[0], scores_KF[1] = 0.0, 1.0  # the range is 0 to 1, so that scaling changes nothing
    results_PK = np.full((3, 10), np.nan)
    truth_K = rng.normal(size=10)
    rows = [rng.permutation(10)[:n] for n in (7, 7, 7)]
    for p, row in enumerate(rows):
        results_PK[p, row] = truth_K[row]
    state = state_of(scores_KF, results_PK)
    found_PK = predict_results(state, results_PK[None], PaperChoices(solver=solver))[0]
    design_KQ = design_matrix(scores_KF, 2)
    for p, row in enumerate(rows):
        weights, *_ = np.linalg.lstsq(design_KQ[row], truth_K[row], rcond=None)
        np.testing.assert_allclose(found_PK[p], design_KQ @ weights, atol=1e-8)


def test_an_under_determined_fit_passes_through_its_points():
    results_PK = np.full((1, 15), np.nan)
    results_PK[0, [0, 5, 9, 12]] = [3.0, 1.0, 2.0, 7.0]
    found_PK = predict_results(
        state_of(LAW.scores_K2, results_PK), results_PK[None], PaperChoices()
    )[0]
    np.testing.assert_allclose(found_PK[0, [0, 5, 9, 12]], [3.0, 1.0, 2.0, 7.0], atol=1e-8)


def test_observed_settings_go_ahead():
    key = ahead_of_rest(
        np.array([[5.0, np.nan, 7.0]]),
        np.array([[0.0, 99.0, 0.0]]),
        np.array([[True, False, True]]),
    )
    assert np.argsort(-key[0]).tolist() == [2, 0, 1]


def test_place_counts_who_ranks_ahead():
    key_PK = np.array([[3.0, 1.0, 3.0, 2.0], [0.0, 5.0, 1.0, 1.0]])
    assert place_of(np.array([2, 3]), key_PK).tolist() == [1, 2]


def test_chances_are_shares_of_the_draws():
    draws_PDK = np.array([[[3.0, 2.0, 1.0, 0.0], [0.0, 9.0, 8.0, 7.0]]])
    draws_PDK = np.concatenate([draws_PDK, draws_PDK[:, :, ::-1]])
    np.testing.assert_array_equal(best_chance(draws_PDK), [[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]])
    np.testing.assert_array_equal(top3_chance(draws_PDK)[0], [0.5, 1, 1, 0.5])


def test_random_order_recalls_k_of_15():
    truth_PK, open_PK = whole_pool(LAW.results_BK[0], 4000)
    rng = np.random.default_rng(0)
    hits = simulate_policy(RandomOrder(), LAW.scores_K2, truth_PK, open_PK, budget=4, rng=rng)
    assert hits.at3_NP[4].mean() == pytest.approx(4 / 15, abs=0.03)
    assert hits.at1_NP[4].mean() == pytest.approx(4 / 15, abs=0.03)


def test_a_ranking_finds_six_of_eight_without_a_fine_tune():
    found = []
    for truth_K in LAW.results_BK:
        truth_PK, open_PK = whole_pool(truth_K, 1)
        rng = np.random.default_rng(0)
        hits = simulate_policy(ColumnOrder(), LAW.scores_K2, truth_PK, open_PK, budget=2, rng=rng)
        found.append(hits.at3_NP[0, 0])
        assert hits.at3_NP[0, 0] == hits.at3_NP[2, 0]
    assert sum(found) == 6
    assert all(found[b] for b in LAW.without_outliers())
