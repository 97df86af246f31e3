"""Details of tokens on hand-made vectors and on a tiny model; the plane without scikit-learn."""

import builtins
from typing import Any

import numpy as np
import pytest

from diglot.measure.lexicon import open_lexicon
from diglot.measure.scatter import principal_plane, project_plane
from diglot.measure.token_details import pack_levels, unpack_levels


def test_levels_run_from_the_lowest_to_the_highest_value() -> None:
    assert list(unpack_levels(pack_levels(np.array([0.2, 0.4, 0.25])))) == [0, 255, 64]
    assert list(unpack_levels(pack_levels(np.full(3, 0.7)))) == [0, 0, 0]


def test_a_word_is_one_of_the_lexicon_of_three_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "wordfreq")
    lexicon = open_lexicon(["traffic light", "of"])
    assert lexicon.source == "the words of names and captions"
    words = [text for text in (" Light", "traffic", "of", "ing") if lexicon.holds(text)]
    assert words == [" Light", "traffic"]


def test_without_scikit_learn_the_plane_is_a_pca_that_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hide(monkeypatch, "sklearn.manifold")
    rows = np.random.default_rng(0).normal(size=(20, 5)) * [9, 4, 1, 0.1, 0.1]
    plane, method = project_plane(rows, seed=0)
    assert method.startswith("PCA")
    centred = rows - rows.mean(axis=0)
    values, vectors = np.linalg.eigh(centred.T @ centred)
    for axis in range(2):
        expected = centred @ vectors[:, np.argsort(-values)[axis]]
        np.testing.assert_allclose(np.abs(plane[:, axis]), np.abs(expected), atol=1e-9)
    assert principal_plane(np.ones((3, 1))).shape == (3, 2)


def hide(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    """Importing the module fails as if it were not installed."""
    real = builtins.__import__

    def blocked(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == module:
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", blocked)
