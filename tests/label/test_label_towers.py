import pyarrow as pa
import pytest
import torch
from pairs import save_pair
from torch.nn.functional import normalize

from diglot.core.errors import ConfigError
from diglot.label.listed import Listed
from diglot.label.towers import load_towers
from diglot.label.word_vectors import WordVectors

WORDS = ["dog", "red car", "hot air balloon", "guitar"]


@pytest.mark.parametrize("family", ["clip", "siglip"])
@torch.no_grad()
def test_vectors_are_those_of_the_published_model(tmp_path, family):
    pair = load_towers(family, str(save_pair(tmp_path, family)))
    pixels = torch.randn(2, 3, 32, 32)
    told = pair.model.vision_model(pixel_values=pixels)
    if family == "clip":
        # the class token's way into the joint space, taken by the patches
        projected = pair.model.visual_projection(told.pooler_output)
        whole = pair.model.vision_model.post_layernorm(told.last_hidden_state)
        assert torch.allclose(pair.model.visual_projection(whole[:, 0]), projected, atol=1e-5)
        expected = pair.model.visual_projection(whole[:, 1:])
    else:
        expected = told.last_hidden_state
    found = pair.patches(pixels)
    assert found.shape == (2, 4, 4, pair.width)
    assert torch.allclose(found.flatten(1, 2), normalize(expected, dim=-1), atol=1e-5)


@pytest.mark.parametrize("family", ["clip", "siglip"])
@torch.no_grad()
def test_words_are_the_models_own_text_features(tmp_path, family):
    pair = load_towers(family, str(save_pair(tmp_path, family)), template="a {}")
    vectors = pair.words(WORDS)
    alone = torch.cat([pair.words([word]) for word in WORDS])
    assert torch.allclose(vectors, alone, atol=1e-5)  # padding changes nothing
    padding = {"padding": True} if family == "clip" else {"padding": "max_length", "max_length": 24}
    told = pair.tokenizer(["a dog"], return_tensors="pt", **padding)
    if family != "clip":
        told.pop("attention_mask")
    told.pop("token_type_ids", None)
    out = pair.model.get_text_features(**told)
    features = out if isinstance(out, torch.Tensor) else out.pooler_output
    assert torch.allclose(vectors[:1], normalize(features, dim=-1), atol=1e-5)


def test_another_family_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="'clip' checkpoint"):
        load_towers("siglip", str(save_pair(tmp_path, "clip")))


def test_vectors_of_a_list_go_on_after_a_stop(tmp_path, monkeypatch):
    monkeypatch.setattr("diglot.label.word_vectors.BATCH_WORDS", 2)
    words = Listed(pa.array([f"word {i}" for i in range(70)]))
    seen: list[str] = []

    def embed(part: list[str]) -> torch.Tensor:
        if len(seen) == 50:
            raise KeyboardInterrupt
        seen.extend(part)
        return torch.tensor([[float(word.split()[1]), 1.0] for word in part])

    first = WordVectors(tmp_path, words, 2, key="tower")
    with pytest.raises(KeyboardInterrupt):
        first.build(embed, lambda done, total: None)
    seen = []
    again = WordVectors(tmp_path, words, 2, key="tower")
    again.build(embed, lambda done, total: None)
    assert seen[0] == "word 32"  # the last that were safe on the disk
    vectors = torch.cat([piece for _, piece in again.pieces()])
    assert vectors[:, 0].tolist() == list(range(70))
    assert WordVectors(tmp_path, words, 2, key="other").path != again.path


def test_a_long_list_is_kept_as_arrow(tmp_path):
    words = Listed(pa.array(["a", "b", "c"]))
    assert (len(words), words[1:], list(words)) == (3, ["b", "c"], ["a", "b", "c"])
