import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diglot.metrics.choice import choice_chance, choice_credit

# Few distinct scores, so that ties are common.
CHOICES = st.lists(st.tuples(st.integers(-2, 2), st.booleans()), min_size=1, max_size=8)


def slow_credit(scores, right):
    """Break ties in every possible way, and take the mean."""
    best = [i for i in range(len(scores)) if all(scores[i] >= other for other in scores)]
    return sum(1.0 for i in best if right[i]) / len(best)


@given(CHOICES)
def test_credit_equals_breaking_ties_in_every_way(choices):
    scores, right = (np.array(column) for column in zip(*choices, strict=True))
    assert choice_credit(scores, right) == pytest.approx(slow_credit(scores, right))


@given(CHOICES, st.randoms())
def test_order_of_candidates_does_not_matter(choices, random):
    mixed = random.sample(choices, len(choices))
    one, two = (
        choice_credit(*(np.array(column) for column in zip(*c, strict=True)))
        for c in (choices, mixed)
    )
    assert one == two


@given(CHOICES)
def test_a_scorer_that_knows_nothing_gets_exactly_chance(choices):
    right = np.array([r for _, r in choices])
    assert choice_credit(np.zeros(len(right)), right) == choice_chance(right)


def test_examples():
    assert choice_credit(np.array([1.0, 3.0, 2.0]), np.array([False, True, False])) == 1.0
    assert choice_credit(np.array([1.0, 3.0, 2.0]), np.array([True, False, True])) == 0.0
    assert choice_credit(np.array([-np.inf, -np.inf]), np.array([True, False])) == 0.5
    assert choice_chance(np.array([True, False, False, False])) == 0.25


@pytest.mark.parametrize("scores", [[], [np.nan, 1.0]])
def test_no_candidates_and_nan_are_errors(scores):
    with pytest.raises(ValueError, match="numbers"):
        choice_credit(np.array(scores), np.ones(len(scores), bool))
    with pytest.raises(ValueError, match="no candidates"):
        choice_chance(np.array([]))
