"""Details of tokens on hand-made vectors and on a tiny model; the plane without scikit-learn."""

import builtins
from typing import Any

import numpy as np
import pytest

from diglot.measure.attention_maps import Asker, open_queries, read_map
from diglot.measure.attention_rows import record_rows
from diglot.measure.lexicon import open_lexicon
from diglot.measure.projected import project_samples
from diglot.measure.scatter import principal_plane, project_plane
from diglot.measure.token_details import Details, pack_levels, token_details, unpack_levels
from diglot.measure.word_space import open_words
from diglot.models.config import Frame
from diglot.report.token_schema import AttentionMap
from tests.tiny import tiny_sample, tiny_views, tiny_vlm


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


@pytest.mark.parametrize(("asker", "name"), [("instruction", "Describe"), ("last", "(last token)")])
def test_maps_of_the_page_are_of_the_chosen_query(asker: Asker, name: str) -> None:
    vlm = tiny_vlm(image_px=64)
    samples = [tiny_sample(0, objects=2, size_hw=(64, 64))]
    (scene,) = project_samples(vlm, samples, lambda s: tiny_views(s, vlm), views_are="pixels")
    space = open_words(vlm.language, ["dog"])
    asked: Any = {"asker": asker, "instruction": "Describe this"}
    details = Details(vlm, space, open_lexicon(["dog"]), Frame(), steps=2, **asked)
    shown = token_details(scene, details)
    assert len(shown["pursuit"]["texts"]) == 2
    (drawn,) = shown["attention"]  # the objects share it
    assert name in drawn["name"]
    (query,) = open_queries(vlm, [scene], Frame(), asker, "Describe this")
    with record_rows(vlm.language):
        wanted = read_map(vlm, query)[0].weight_LP
    assert drawn["layers"] == [pack_levels(weight_P) for weight_P in wanted]
    ends = np.stack([drawn["lowest"], drawn["highest"]])
    np.testing.assert_allclose(ends, [wanted.min(axis=1), wanted.max(axis=1)], rtol=1e-3)
    shown = AttentionMap.model_validate(drawn)
    np.testing.assert_allclose(shown.values(0), wanted[0], atol=ends[1, 0] / 500)
    old = AttentionMap.model_validate({**drawn, "lowest": None})  # of before it was kept
    assert (min(old.values(0)), max(old.values(0))) == (0, ends[1, 0])
