"""Planning: what is proposed, when it stops, and the user's mistakes."""

import numpy as np
import pytest

from diglot.core.errors import ConfigError, DataError
from diglot.select.paper_data import paper_law
from diglot.select.plan import POLICIES, make_plan
from diglot.select.table import ScoreTable

LAW = paper_law()


def table_with(known: dict[str, float], benchmark="MMBench", **more):
    b = LAW.benchmarks.index(benchmark)
    results = [str(known.get(name, "")) for name in LAW.settings]
    columns = {
        "A": tuple(str(a) for a in LAW.scores_K2[:, 0]),
        "C": tuple(str(c) for c in LAW.scores_K2[:, 1]),
        "y": tuple(results),
        "truth": tuple(str(y) for y in LAW.results_BK[b]),
        **more,
    }
    return ScoreTable(settings=LAW.settings, cells=columns)


def first_results(count, benchmark="MMBench"):
    b = LAW.benchmarks.index(benchmark)
    order = np.argsort(-LAW.scores_K2[:, 0])[:count]
    return {LAW.settings[k]: float(LAW.results_BK[b, k]) for k in order}


@pytest.mark.parametrize("policy", POLICIES)
def test_every_policy_plans(policy):
    made = make_plan(
        table_with(first_results(3)),
        results="y",
        columns=("A", "C"),
        budget=8,
        policy=policy,
        known=("truth",) if policy == "related_policy" else (),
        stop_below=0.0,
    )
    assert sorted(made.order) == list(range(15))
    if policy == "a_ranking":
        assert made.next is None
    else:
        assert made.next is not None
        assert np.isnan(made.results_K[made.next])
        assert made.reason == "fine-tune 4 of 8"


def test_following_the_plan_finds_the_best_and_stops_before_all_are_tried():
    known: dict[str, float] = {}
    truth = dict(zip(LAW.settings, LAW.results_BK[0], strict=True))
    for _ in range(15):
        made = make_plan(table_with(known), results="y", columns=("A", "C"), budget=15)
        if made.next is None:
            break
        known[LAW.settings[made.next]] = truth[LAW.settings[made.next]]
    assert made.change is not None
    assert "one more fine-tune would change the top 3" in made.reason
    assert len(known) < 15
    assert LAW.settings[made.order[0]] == max(truth, key=lambda name: truth[name])


def test_measured_settings_are_certain():
    made = make_plan(table_with(first_results(5)), results="y", columns=("A", "C"), budget=8)
    ranking = made.ranking
    assert ranking.low_PK is not None
    assert ranking.high_PK is not None
    assert ranking.best_PK is not None
    measured_K = ~np.isnan(made.results_K)
    np.testing.assert_allclose(ranking.low_PK[0, measured_K], made.results_K[measured_K])
    np.testing.assert_allclose(ranking.high_PK[0, measured_K], made.results_K[measured_K])
    assert (ranking.low_PK[0, ~measured_K] < ranking.high_PK[0, ~measured_K]).all()
    assert ranking.best_PK[0].sum() == pytest.approx(1)
    assert (ranking.best_PK[0, measured_K] > 0).sum() <= 1


def test_the_budget_and_the_table_can_be_exhausted():
    made = make_plan(table_with(first_results(4)), results="y", columns=("A", "C"), budget=4)
    assert (made.next, made.reason) == (None, "the budget of 4 fine-tunes is spent")
    made = make_plan(table_with(first_results(15)), results="y", columns=("A", "C"), budget=20)
    assert (made.next, made.reason) == (None, "every setting has its result")


def test_a_budget_beyond_the_settings_is_that_of_the_settings():
    made = make_plan(table_with({}), results="y", columns=("A", "C"), budget=1000)
    assert made.reason == "fine-tune 1 of 15"


def test_a_constant_score_is_noted_and_constant_scores_alone_are_refused():
    table = ScoreTable(
        settings=("a", "b", "c"),
        cells={"A": ("1", "1", "1"), "C": ("3", "2", "1"), "y": ("", "", "")},
    )
    made = make_plan(table, results="y", columns=("A", "C"), budget=3)
    assert made.warnings[0] == "column 'A' is the same for every setting, so it cannot rank them"
    with pytest.raises(DataError, match="the scores are the same for every setting"):
        make_plan(table, results="y", columns=("A",), budget=3)


def test_warnings_name_what_the_ranking_rests_on():
    none = make_plan(table_with({}), results="y", columns=("A", "C"), budget=3)
    assert "fewer than two results" in none.warnings[0]
    paper = make_plan(
        table_with(first_results(4)),
        results="y",
        columns=("A", "C"),
        budget=8,
        policy="paper_policy",
    )
    assert "6 parameters are fitted to 4 results" in paper.warnings[0]
    one = make_plan(table_with(first_results(3)), results="y", columns=("A",), budget=8)
    assert "no benchmark to learn" in one.warnings[0]
    taught = make_plan(
        table_with(first_results(3)), results="y", columns=("A",), budget=8, known=("truth",)
    )
    assert taught.warnings == ()


def test_mistakes_are_named():
    table = table_with({})
    with pytest.raises(ConfigError, match="no policy 'best'; expected one of own_policy"):
        make_plan(table, results="y", columns=("A", "C"), budget=3, policy="best")
    with pytest.raises(ConfigError, match="related_policy needs"):
        make_plan(table, results="y", columns=("A", "C"), budget=3, policy="related_policy")
    with pytest.raises(ConfigError, match="the budget is empty"):
        make_plan(table, results="y", columns=("A", "C"), budget=0)
    with pytest.raises(ConfigError, match="stop_below is a probability"):
        make_plan(table, results="y", columns=("A", "C"), budget=3, stop_below=2)
    with pytest.raises(DataError, match="no column 'z'"):
        make_plan(table, results="z", columns=("A", "C"), budget=3)
    with pytest.raises(DataError, match="has no value in column 'y'"):
        make_plan(table, results="y", columns=("A", "y"), budget=3)
    few = table.only(np.arange(15) < 2)
    with pytest.raises(DataError, match="too few settings"):
        make_plan(few, results="y", columns=("A", "C"), budget=3)
