"""The polynomial law against slow references and the paper's Table 2."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diglot.core.errors import ConfigError, DataError
from diglot.select.law import design_matrix, fit_law, polynomial_terms, random_r2
from diglot.select.paper_data import paper_law
from diglot.select.study import random_r2s, table_2


def loop_loo_r2(scores_KF, results_K, degree):
    """Leave-one-out by refitting without each point."""
    low, spread = scores_KF.min(axis=0), np.ptp(scores_KF, axis=0)
    design_KQ = design_matrix((scores_KF - low) / spread, degree)
    errors = []
    for k in range(len(results_K)):
        keep = np.arange(len(results_K)) != k
        weights, *_ = np.linalg.lstsq(design_KQ[keep], results_K[keep], rcond=None)
        errors.append(results_K[k] - design_KQ[k] @ weights)
    return 1 - np.sum(np.square(errors)) / np.sum((results_K - results_K.mean()) ** 2)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    points=st.integers(9, 20),
    width=st.integers(1, 2),
    degree=st.integers(1, 2),
)
def test_loo_in_closed_form_equals_the_loop(seed, points, width, degree):
    rng = np.random.default_rng(seed)
    scores_KF, results_K = rng.normal(size=(points, width)), rng.normal(size=points)
    fit = fit_law([f"s{f}" for f in range(width)], scores_KF, results_K, degree=degree)
    assert fit.loo_r2 == pytest.approx(loop_loo_r2(scores_KF, results_K, degree), rel=1e-6)
    assert fit.r2 is not None
    assert fit.loo_r2 <= fit.r2 <= 1


def test_an_exact_quadratic_is_recovered():
    rng = np.random.default_rng(0)
    scores_K2 = rng.uniform(-3, 20, size=(12, 2))
    a, c = scores_K2.T
    results_K = 2 - a + 0.5 * c + 0.1 * a * a - 0.2 * a * c + 0.03 * c * c
    fit = fit_law(["A", "C"], scores_K2, results_K, degree=2)
    assert fit.r2 == pytest.approx(1)
    assert fit.loo_r2 == pytest.approx(1)
    np.testing.assert_allclose(fit.predict(scores_K2), results_K)
    assert [row.term for row in fit.coefficients] == ["1", "A", "C", "A·A", "A·C", "C·C"]


def test_intervals_hold_the_true_weight_at_their_level():
    rng = np.random.default_rng(1)
    score_K1 = np.linspace(0, 1, 20)[:, None]
    inside = 0
    for _ in range(300):
        fit = fit_law(["A"], score_K1, 3 * score_K1[:, 0] + rng.normal(size=20), degree=1)
        slope = fit.coefficients[1]
        assert slope.low is not None
        assert slope.high is not None
        inside += slope.low <= 3 <= slope.high
    assert 0.91 <= inside / 300 <= 0.98


def test_the_law_does_not_depend_on_units():
    rng = np.random.default_rng(2)
    scores_K2, results_K = rng.normal(size=(15, 2)), rng.normal(size=15)
    first = fit_law(["A", "C"], scores_K2, results_K, degree=2)
    other = fit_law(["A", "C"], scores_K2 * [100, 0.01] - 7, 5 * results_K + 3, degree=2)
    assert first.r2 == pytest.approx(other.r2)
    assert first.loo_r2 == pytest.approx(other.loo_r2)


def test_an_under_determined_fit_has_no_r2_and_says_so():
    rng = np.random.default_rng(3)
    fit = fit_law(["A", "C"], rng.normal(size=(4, 2)), rng.normal(size=4), degree=2)
    assert fit.r2 is None
    assert fit.loo_r2 is None
    assert "under-determined: 6 parameters on 4 points" in fit.warnings[0]
    assert all(row.low is None for row in fit.coefficients)


def test_table_2_comes_out_within_0_2():
    law = paper_law()
    fits = table_2(law)
    for name, published in law.published["fits"].items():
        for group, value in zip(("vision", "ocr"), published, strict=True):
            fit = fits[name][group]
            slack = 2 * fit.spread if name.startswith("random") else 0.2
            assert fit.r2 == pytest.approx(value, abs=slack), (name, group)


def test_a_alone_generalises_better_than_a_and_c():
    fits = table_2(paper_law())
    assert fits["a_quadratic"]["vision"].loo_r2 > fits["ac_quadratic"]["vision"].loo_r2


def test_random_scores_reach_the_expected_r2():
    found = random_r2s(paper_law().results_BK[0], 2, 2, np.random.default_rng(0))
    assert found.mean() == pytest.approx(random_r2(15, len(polynomial_terms("AC", 2))), abs=0.02)
    results_K = paper_law().results_BK[0]
    fast = random_r2s(results_K, 2, 2, np.random.default_rng(9))[0]
    first = np.random.default_rng(9).random((1000, 15, 2))[0]
    assert fast == pytest.approx(fit_law("AC", first, results_K, degree=2).r2)


def test_mistakes_are_named():
    scores_K1, results_K = np.arange(4.0)[:, None], np.arange(4.0)
    with pytest.raises(ConfigError, match=r"expected 1 \(linear\) or 2"):
        fit_law(["A"], scores_K1, results_K, degree=3)
    with pytest.raises(DataError, match="column 'A' is the same"):
        fit_law(["A"], np.ones((4, 1)), results_K, degree=1)
    with pytest.raises(DataError, match="results are the same"):
        fit_law(["A"], scores_K1, np.ones(4), degree=1)
    with pytest.raises(DataError, match="at least 3; got 2"):
        fit_law(["A"], scores_K1[:2], results_K[:2], degree=1)
