import pyarrow as pa
import pytest
import torch
from tests.synth.patch_labels.pairs import save_pair
from torch.nn.functional import normalize

from diglot.core.errors import ConfigError
from diglot.core.progress import ignore_progress
from diglot.synth.patch_labels.towers import load_towers
from diglot.synth.patch_labels.word_vectors import WordVectors
from diglot.synth.words.listed import Listed

CPU = torch.device("cpu")
WORDS = ["dog", "red car", "hot air balloon", "guitar"]


@pytest.mark.parametrize("family", ["clip", "siglip"])
@torch.no_grad()
def test_vectors_are_those_of_the_published_model(tmp_path, family):
    pair = load_towers(family, str(save_pair(tmp_path, family)))
    pixels = torch.randn(2, 3, 32, 32)
    output = pair.model.vision_model(pixel_values=pixels)
    if family == "clip":
        # the class token's way into the joint space, taken by the patches
        projected = pair.model.visual_projection(output.pooler_output)
        whole = pair.model.vision_model.post_layernorm(output.last_hidden_state)
        assert torch.allclose(pair.model.visual_projection(whole[:, 0]), projected, atol=1e-5)
        expected = pair.model.visual_projection(whole[:, 1:])
    else:
        # attention over one token is its value: what the whole image's vector is made of
        alone = output.last_hidden_state.flatten(0, 1)[:, None]
        expected = pair.model.vision_model.head(alone).view_as(output.last_hidden_state)
    found = pair.patches(pixels)
    assert found.shape == (2, 4, 4, pair.width)
    assert torch.allclose(found.flatten(1, 2), normalize(expected, dim=-1), atol=1e-5)


@pytest.mark.parametrize("family", ["clip", "siglip"])
@torch.no_grad()
def test_a_value_is_what_the_patch_alone_would_attend_to(tmp_path, family):
    pair = load_towers(family, str(save_pair(tmp_path, family)), patch="value")
    pixels = torch.randn(2, 3, 32, 32)
    vision = pair.model.vision_model
    output = vision(pixel_values=pixels, output_hidden_states=True)
    last = vision.encoder.layers[-1]
    normed = last.layer_norm1(output.hidden_states[-2])
    alone, _ = last.self_attn(normed.flatten(0, 1)[:, None], attention_mask=None)
    features = vision.post_layernorm(alone.view_as(normed))
    if family == "clip":
        expected = pair.model.visual_projection(features[:, 1:])
    else:
        expected = vision.head(features.flatten(0, 1)[:, None]).view_as(features)
    found = pair.patches(pixels)
    assert torch.allclose(found.flatten(1, 2), normalize(expected, dim=-1), atol=1e-5)


def test_a_tower_alone_is_refused(tmp_path):
    pair = load_towers("clip", str(save_pair(tmp_path / "pair", "clip")))
    pair.model.vision_model.save_pretrained(tmp_path / "alone")
    with pytest.raises(ConfigError, match="no text tower"):
        load_towers("clip", str(tmp_path / "alone"))


@pytest.mark.parametrize("family", ["clip", "siglip"])
@torch.no_grad()
def test_words_are_the_models_own_text_features(tmp_path, family):
    pair = load_towers(family, str(save_pair(tmp_path, family)), template="a {}")
    vectors = pair.words(WORDS)
    alone = torch.cat([pair.words([word]) for word in WORDS])
    assert torch.allclose(vectors, alone, atol=1e-5)  # padding changes nothing
    padding = {"padding": True} if family == "clip" else {"padding": "max_length", "max_length": 24}
    tokens = pair.tokenizer(["a dog"], return_tensors="pt", **padding)
    if family != "clip":
        tokens.pop("attention_mask")
    tokens.pop("token_type_ids", None)
    out = pair.model.get_text_features(**tokens)
    features = out if isinstance(out, torch.Tensor) else out.pooler_output
    assert torch.allclose(vectors[:1], normalize(features, dim=-1), atol=1e-5)


@torch.no_grad()
def test_siglip_reads_lower_case_whatever_its_tokenizer_does(tmp_path):
    """SigLIP2 of fixed resolution is a siglip with Gemma's tokenizer, which keeps capitals."""
    pair = load_towers("siglip", str(save_pair(tmp_path, "siglip")), template="A photo of {}")
    assert len({tuple(pair.tokenizer(text)["input_ids"]) for text in ("Dog", "dog")}) == 2
    assert torch.equal(pair.words(["Dog", "RED Car"]), pair.words(["dog", "red car"]))


def test_another_family_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="'clip' checkpoint"):
        load_towers("siglip", str(save_pair(tmp_path, "clip")))


def test_vectors_of_a_list_resume_after_a_stop(tmp_path, monkeypatch):
    monkeypatch.setattr("diglot.synth.patch_labels.word_vectors.BATCH_WORDS", 2)
    monkeypatch.setattr("diglot.synth.patch_labels.word_vectors.BLOCK_WORDS", 32)
    words = Listed(pa.array([f"word {i}" for i in range(70)]))
    embedded: list[str] = []

    def embed(part: list[str]) -> torch.Tensor:
        if len(embedded) == 50:
            raise KeyboardInterrupt
        embedded.extend(part)
        return torch.tensor([[float(word.split()[1]), 1.0] for word in part])

    first = WordVectors(tmp_path, words, 2, key="tower")
    with pytest.raises(KeyboardInterrupt):
        first.build(embed, ignore_progress)
    embedded = []
    again = WordVectors(tmp_path, words, 2, key="tower")
    again.build(embed, ignore_progress)
    assert embedded[0] == "word 32"  # the last that were safe on the disk
    assert columns(again) == list(range(70))
    assert again.pieces(CPU) is not again.pieces(CPU)
    assert next(again.pieces(CPU))[1] is next(again.pieces(CPU))[1]  # read once
    assert WordVectors(tmp_path, words, 2, key="other").path != again.path


@pytest.mark.parametrize("how", ["empty", "cut", "zeroed", "flipped"])
@pytest.mark.parametrize("suffix", [".f16", ".done"])
def test_damaged_vectors_are_made_again(tmp_path, suffix, how):
    words = Listed(pa.array([f"word {i}" for i in range(9)]))

    def embed(part):
        return torch.tensor([[float(word.split()[1]), 1.0] for word in part])

    first = WordVectors(tmp_path, words, 2, key="tower")
    first.build(embed, ignore_progress)
    path = first.path.with_suffix(suffix)
    whole = path.read_bytes()
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    changed = {"empty": b"", "cut": whole[:middle], "zeroed": bytes(len(whole))}
    path.write_bytes(changed.get(how, flipped))
    again = WordVectors(tmp_path, words, 2, key="tower")
    again.build(embed, ignore_progress)
    assert path.read_bytes() == whole
    assert columns(again) == list(range(9))


def test_vectors_without_room_in_memory_are_read_again(tmp_path, monkeypatch):
    monkeypatch.setattr("diglot.synth.patch_labels.word_vectors.CPU_ROOM_BYTES", 10)
    monkeypatch.setattr("diglot.synth.patch_labels.word_vectors.PIECE_WORDS", 3)
    words = Listed(pa.array([f"word {i}" for i in range(8)]))
    kept = WordVectors(tmp_path, words, 2, key="tower")
    kept.build(
        lambda part: torch.tensor([[float(w.split()[1]), 1.0] for w in part]),
        ignore_progress,
    )
    assert columns(kept) == list(range(8))
    assert [first for first, _ in kept.pieces(CPU)] == [0, 3, 6]
    assert next(kept.pieces(CPU))[1] is not next(kept.pieces(CPU))[1]


def columns(kept: WordVectors) -> list[float]:
    return torch.cat([piece for _, piece in kept.pieces(CPU)])[:, 0].tolist()


def test_a_long_list_is_kept_as_arrow(tmp_path):
    words = Listed(pa.array(["a", "b", "c"]))
    assert (len(words), words[1:], list(words)) == (3, ["b", "c"], ["a", "b", "c"])
