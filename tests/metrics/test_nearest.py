"""The nearest words over blocks of a vocabulary, against all cosines at once."""

import numpy as np
import pytest

from diglot.metrics import nearest
from diglot.metrics.nearest import largest_products
from diglot.metrics.tacs import unit_rows


@pytest.mark.parametrize("block", [1, 3, 7, 100])
def test_blocks_give_what_all_words_at_once_give(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nearest, "BLOCK_WORDS", block)
    rng = np.random.default_rng(0)
    token, word = rng.normal(size=(5, 4)), rng.normal(size=(19, 4))
    index, best = largest_products(token, word, k=3)
    for p in range(5):
        products = [float(token[p] @ (w / np.linalg.norm(w))) for w in word]
        order = sorted(range(19), key=lambda w: -products[w])[:3]
        assert index[p].tolist() == order
        np.testing.assert_allclose(best[p], [products[w] for w in order])


def test_of_equal_words_the_first_counts_and_few_words_are_all_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(nearest, "BLOCK_WORDS", 2)
    index, _ = largest_products(np.ones((1, 2)), np.ones((5, 2)), k=2)
    assert index.tolist() == [[0, 1]]
    index, best = largest_products(np.ones((2, 2)), unit_rows(np.eye(2)), k=9)
    assert index.shape == best.shape == (2, 2)
    with pytest.raises(ValueError, match="needs words"):
        largest_products(np.ones((1, 2)), np.zeros((0, 2)))
