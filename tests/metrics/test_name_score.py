import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diglot.metrics.name_score import LENGTHS, name_scores

LOG_PROB = np.log([[0.4, 0.2, 0.1], [0.2, 0.6, 0.1]])
PRIOR = np.log([0.5, 0.1, 0.1])
TOKENS = np.array([1, 2, 4])


@pytest.mark.parametrize(
    ("how", "want"),
    [
        ("sum", [0.4, 0.2, 0.1]),
        ("mean", [0.4, 0.2 ** (1 / 2), 0.1 ** (1 / 4)]),
        ("pmi", [0.8, 2.0, 1.0]),
        ("calibrated", [0.4 / 0.3, 0.2 / 0.4, 1.0]),
    ],
)
def test_each_way(how, want):
    assert np.exp(name_scores(LOG_PROB, PRIOR, TOKENS, how)[0]) == pytest.approx(want)


@given(st.integers(0, 2**32 - 1))
def test_calibrated_does_not_care_how_likely_a_name_is_in_all_contexts(seed):
    rng = np.random.default_rng(seed)
    table, liking = rng.normal(-300, 5, (4, 3)), rng.normal(0, 50, 3)
    one, other = (name_scores(t, PRIOR, TOKENS, "calibrated") for t in (table, table + liking))
    np.testing.assert_allclose(one, other, atol=1e-9)
    np.testing.assert_allclose(np.exp(one).mean(axis=0), 1.0)


@pytest.mark.parametrize("how", LENGTHS)
def test_no_contexts_no_scores(how):
    assert name_scores(np.zeros((0, 3)), PRIOR, TOKENS, how).shape == (0, 3)


def test_contexts_that_add_nothing_prefer_no_name():
    assert (name_scores(PRIOR[None], PRIOR, TOKENS, "pmi") == 0).all()
    assert (name_scores(LOG_PROB[[0, 0]], PRIOR, TOKENS, "calibrated") == 0).all()
