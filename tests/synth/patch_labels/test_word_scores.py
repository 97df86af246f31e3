import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import normalize

from diglot.synth.patch_labels.word_scores import best_words


def slow(patch_MC, word_WC, keep, sign):
    """Every score by itself, then the best of each patch."""
    rows = []
    for patch in patch_MC:
        scores = [sign * float((patch * word).sum()) for word in word_WC]
        order = sorted(range(len(scores)), key=lambda w: (-scores[w], w))[:keep]
        rows.append([(w, scores[w]) for w in order])
    return rows


@given(st.integers(1, 30), st.integers(1, 12), st.integers(1, 40), st.sampled_from([1, -1]))
def test_pieces_give_what_the_whole_list_gives(words, keep, piece, sign):
    torch.manual_seed(words * 41 + keep)
    patch_MC, word_WC = (normalize(torch.randn(n, 6).double(), dim=1) for n in (5, words))
    pieces = [(i, word_WC[i : i + piece]) for i in range(0, words, piece)]
    number, score = best_words(patch_MC, pieces, keep=keep, sign=sign)
    assert number.shape == score.shape == (5, min(keep, words))
    for numbers, scores, expected in zip(
        number.tolist(), score.tolist(), slow(patch_MC, word_WC, keep, sign), strict=True
    ):
        assert numbers == [w for w, _ in expected]
        assert scores == pytest.approx([s for _, s in expected], abs=1e-6)


def test_of_equal_scores_the_first_word_wins():
    word_WC = torch.tensor([[0.0, 1.0], [1.0, 0.0], [1.0, 0.0]])
    pieces = [(0, word_WC[:2]), (2, word_WC[2:])]
    number, _ = best_words(torch.tensor([[1.0, 0.0]]), pieces, keep=2, sign=1)
    assert number.tolist() == [[1, 2]]
