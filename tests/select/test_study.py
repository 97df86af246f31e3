"""The study: no leak into the choice of hyper-parameters, the range, and the JSON's shape."""

import numpy as np
import pytest

from diglot.select.choose import NEW, choose_for, list_candidates, stored_choice
from diglot.select.new_settings import new_settings_curves
from diglot.select.paper_data import paper_law
from diglot.select.paper_range import list_options, run_variants
from diglot.select.recall import random_pools
from diglot.select.study import MAIN_POLICIES, recall_curves, results_json, table_2

LAW = paper_law()
CHOICES = {name: stored_choice(name) for name in LAW.benchmarks}


@pytest.fixture(scope="module")
def curves():
    return recall_curves(LAW, CHOICES, runs=30, budget=8)


def test_the_choice_for_a_benchmark_never_reads_its_results(monkeypatch):
    monkeypatch.setattr("diglot.select.choose.list_candidates", lambda: list_candidates()[:3:2])
    incomplete_BK = LAW.results_BK.copy()
    incomplete_BK[2] = np.nan
    steps = []
    first = choose_for(2, LAW.scores_K2, LAW.results_BK, pools=4)
    again = choose_for(2, LAW.scores_K2, incomplete_BK, pools=4, report=steps.append)
    assert first == again
    assert len(steps) == 2


def test_every_stored_choice_was_a_candidate():
    for name in (*LAW.benchmarks, NEW):
        assert stored_choice(name) in list_candidates()


def test_our_policy_recalls_more_than_the_papers_a_and_random(curves):
    own = curves["own_policy"]
    for rival in ("paper_policy", "a_ranking", "random"):
        for n in range(2, 9):
            assert own.at3_BN[:, n].mean() > curves[rival].at3_BN[:, n].mean()
            assert own.at1_BN[:, n].mean() > curves[rival].at1_BN[:, n].mean()


def test_the_json_holds_the_promised_names(curves):
    content = results_json(table_2(LAW), curves)
    assert set(content) == {"fits", "recall"}
    assert set(content["fits"]) == {
        *(f"{s}_{d}" for s in ("a", "c", "ac") for d in ("linear", "quadratic")),
        "random_quadratic",
    }
    assert set(content["fits"]["ac_quadratic"]) == {"vision_r2", "ocr_r2"}
    assert set(content["recall"]) == set(MAIN_POLICIES)
    assert set(content["recall"]["own_policy"]["4"]) == {"at3", "at1"}
    assert content["recall"]["a_ranking"]["4"]["at3"] == pytest.approx(75)


def test_the_range_covers_every_combination_and_counting_by_is_never_lower():
    found = run_variants(LAW, runs=20, budget=4)
    assert len(found) == 2 * np.prod([len(values) for values in list_options().values()])
    for at, by in zip(found[::2], found[1::2], strict=True):
        assert (at.count, by.count) == ("at", "by")
        assert at.choices == by.choices
        assert (by.at3_B >= at.at3_B).all()


def test_new_settings_are_disjoint_and_curves_have_their_budgets():
    fresh = new_settings_curves(LAW, CHOICES, runs=2)
    assert list(fresh["own_policy"]) == ["2", "3", "4", "5"]


def test_pools_have_their_size():
    pools_PK = random_pools(15, 12, 500, np.random.default_rng(0))
    assert (pools_PK.sum(axis=1) == 12).all()
    assert np.abs(pools_PK.mean(axis=0) - 12 / 15).max() < 0.08
