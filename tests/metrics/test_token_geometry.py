"""TACS, the modality gap and matching pursuit: visual tokens against words."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diglot.metrics.matching_pursuit import matching_pursuit
from diglot.metrics.modality_gap import nearest_distance
from diglot.metrics.tacs import token_consistency, unit_rows

SEED = st.integers(0, 2**32 - 1)


def slow_tacs(visual, text, k):
    best = []
    for v in visual:
        best.append(max(v @ t / (np.linalg.norm(v) * np.linalg.norm(t)) for t in text))
    best = sorted(best, reverse=True)[:k]
    return sum(best) / len(best)


@given(SEED, st.integers(1, 15), st.integers(1, 6), st.integers(1, 12))
def test_tacs_equals_the_definition(seed, visual, text, k):
    rng = np.random.default_rng(seed)
    x, t = rng.normal(size=(visual, 5)), rng.normal(size=(text, 5))
    got = token_consistency(x, t, k=k)
    assert got == pytest.approx(slow_tacs(x, t, k))
    assert token_consistency(rng.permutation(2 * x), 5 * t, k=k) == pytest.approx(got)


def test_tacs_extremes():
    words = np.eye(4)
    assert token_consistency(words[:2] * 7, words) == pytest.approx(1.0)
    assert token_consistency(-np.ones((12, 4)), words) == pytest.approx(-0.5)
    assert token_consistency(np.zeros((3, 4)), words) == 0.0
    assert token_consistency(np.zeros((0, 4)), words) is None
    assert token_consistency(words, np.zeros((0, 4))) is None
    with pytest.raises(ValueError, match="k must"):
        token_consistency(words, words, k=0)


@given(SEED)
def test_gap_is_the_distance_to_the_nearest_word(seed):
    rng = np.random.default_rng(seed)
    visual, words = rng.normal(size=(6, 4)), rng.normal(size=(9, 4))
    slow = [min(np.linalg.norm(v - w) for w in words) for v in visual]
    assert nearest_distance(visual, words) == pytest.approx(slow)


def test_gap_of_words_themselves_is_zero_and_of_a_hand_made_set_known():
    words = np.array([[0.0, 0.0], [1000.0, 0.0]])
    assert nearest_distance(words, words) == pytest.approx([0, 0], abs=0)
    assert nearest_distance(np.array([[3.0, 4.0], [1000.0, 1e-6]]), words) == pytest.approx(
        [5, 1e-6]
    )
    with pytest.raises(ValueError, match="no words"):
        nearest_distance(words, words[:0])


def slow_pursuit(v, words, steps):
    words = [w / np.linalg.norm(w) for w in words]
    found, rest = [], v.copy()
    for _ in range(steps):
        best = max(range(len(words)), key=lambda i: words[i] @ rest)
        found.append((best, words[best] @ rest))
        rest = rest - (words[best] @ rest) * words[best]
    return found, np.linalg.norm(rest) / np.linalg.norm(v)


@given(SEED, st.integers(1, 5))
def test_pursuit_equals_the_algorithm_and_the_rest_never_grows(seed, steps):
    rng = np.random.default_rng(seed)
    visual, words = rng.normal(size=(4, 6)), rng.normal(size=(10, 6))
    got = matching_pursuit(visual, words, steps=steps)
    for p, v in enumerate(visual):
        found, left = slow_pursuit(v, words, steps)
        assert got.word_PK[p].tolist() == [i for i, _ in found]
        assert got.part_PK[p] == pytest.approx([part for _, part in found])
        assert got.left_PK[p, -1] == pytest.approx(left)
    assert (np.diff(got.left_PK, axis=1) <= 1e-12).all()


def test_pursuit_recovers_a_planted_sparse_sum():
    words = np.random.default_rng(0).normal(size=(40, 512))
    atoms = unit_rows(words)
    planted = 3 * atoms[4] + 2 * atoms[17] + 1 * atoms[31]
    got = matching_pursuit(planted[None], words, steps=3)
    assert got.word_PK[0].tolist() == [4, 17, 31]
    assert got.left_PK[0, -1] < 0.15
    orthogonal = matching_pursuit(np.array([[0.0, 3, 0, 1]]), np.eye(4) * 9, steps=2)
    assert orthogonal.word_PK.tolist() == [[1, 3]]
    assert orthogonal.part_PK.tolist() == [[3.0, 1.0]]
    assert orthogonal.left_PK[0, -1] == 0.0
    assert matching_pursuit(np.zeros((1, 4)), np.eye(4), steps=1).left_PK.tolist() == [[0.0]]
    with pytest.raises(ValueError, match="needs words"):
        matching_pursuit(words, words, steps=0)
