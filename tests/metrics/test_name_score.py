import numpy as np
import pytest

from diglot.metrics.name_score import name_scores

LOG_PROB = np.array([-2.0, -3.0, -9.0])
PRIOR = np.array([-1.0, -4.0, -9.0])
TOKENS = np.array([1, 2, 4])


@pytest.mark.parametrize(
    ("how", "want"), [("sum", [-2, -3, -9]), ("mean", [-2, -1.5, -2.25]), ("pmi", [-1, 1, 0])]
)
def test_each_way(how, want):
    assert name_scores(LOG_PROB, PRIOR, TOKENS, how).tolist() == want


def test_pmi_of_a_context_that_adds_nothing_prefers_no_name():
    assert (name_scores(PRIOR, PRIOR, TOKENS, "pmi") == 0).all()
