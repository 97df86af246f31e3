"""A causal LM taken apart, and checkpoints that are none."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    CohereConfig,
    Gemma2Config,
    GemmaConfig,
    GemmaForCausalLM,
    GraniteConfig,
    Phi3Config,
)

from diglot.core.errors import ConfigError
from diglot.models.language import Language, LanguageConfig, load_language
from diglot.models.prompt import tokenize_caption
from tests.tiny import EOS, tiny_language, tiny_tokenizer


@pytest.mark.parametrize("kind", ["llama", "qwen2", "qwen3"])
@torch.no_grad()
def test_words_decoder_and_head_make_the_model(kind) -> None:
    language = tiny_language(kind)
    ids = torch.arange(12).reshape(2, 6)
    hidden = language.decode(language.input_embeddings(ids)).last_hidden_state
    assert language.head(hidden).equal(language.model(input_ids=ids).logits)
    assert language.width == 32
    assert language.input_embeddings.num_embeddings == len(language.tokenizer)


@torch.no_grad()
def test_the_size_of_words_is_of_those_that_enter() -> None:
    language = tiny_language()
    weights = language.input_embeddings.weight
    assert language.embeddings_rms() == pytest.approx(weights.square().mean().sqrt().item())
    config = GemmaConfig(
        vocab_size=len(language.tokenizer),
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
    )
    gemma = Language(GemmaForCausalLM(config), language.tokenizer)
    entering = gemma.input_embeddings(torch.arange(len(language.tokenizer)))
    assert gemma.embeddings_rms() == pytest.approx(entering.square().mean().sqrt().item())
    weights = gemma.input_embeddings.weight.square().mean().sqrt().item()
    assert gemma.embeddings_rms() == pytest.approx(32**0.5 * weights)


def test_loads_what_was_saved(language_folder: Path) -> None:
    language = load_language(LanguageConfig(path=str(language_folder)))
    for name, value in tiny_language().model.state_dict().items():
        assert language.model.state_dict()[name].equal(value)
    assert language.head.weight is language.input_embeddings.weight
    assert language.tokenizer("a dog").input_ids == tiny_tokenizer()("a dog").input_ids
    assert not language.model.training
    assert language.model.config._attn_implementation == "sdpa"


def test_dtype(language_folder: Path) -> None:
    config = LanguageConfig(path=str(language_folder), dtype="bfloat16")
    assert load_language(config).input_embeddings.weight.dtype == torch.bfloat16


def broken(folder: Path, how: str) -> None:
    weights, config = folder / "model.safetensors", folder / "config.json"
    match how:
        case "no folder":
            shutil.rmtree(folder)
        case "no tokenizer":
            for file in folder.glob("*token*"):
                file.unlink()
        case "garbage tokenizer":
            (folder / "tokenizer.json").write_text("{]")
        case "no weights":
            weights.unlink()
        case "cut weights":
            weights.write_bytes(weights.read_bytes()[:5000])
        case "garbage config":
            config.write_text("nothing")
        case "no causal LM":
            config.write_text(json.dumps({"model_type": "clip_vision_model"}))
        case "more layers":
            payload = json.loads(config.read_text())
            config.write_text(json.dumps({**payload, "num_hidden_layers": 3, "layer_types": None}))


@pytest.mark.parametrize(
    "how",
    [
        *("no folder", "no tokenizer", "garbage tokenizer", "no weights", "cut weights"),
        *("garbage config", "no causal LM", "more layers"),
    ],
)
def test_broken_checkpoint_is_a_config_error(
    language_folder: Path, tmp_path: Path, how: str
) -> None:
    folder = tmp_path / "language"
    shutil.copytree(language_folder, folder)
    broken(folder, how)
    with pytest.raises(ConfigError, match=r"language\.path: .*language"):
        load_language(LanguageConfig(path=str(folder)))


SMALL = {
    "vocab_size": 40,
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
}


@pytest.mark.parametrize(
    "config",
    [
        Gemma2Config(**SMALL, final_logit_softcapping=0.01),
        CohereConfig(**SMALL, logit_scale=0.25),
        GraniteConfig(**SMALL, logits_scaling=3.0),
    ],
    ids=["capped", "multiplied", "divided"],
)
@torch.no_grad()
def test_scaled_and_capped_logits_are_the_model_s_own(config: Any) -> None:
    model = AutoModelForCausalLM.from_config(config).eval()
    language = Language(model, tiny_tokenizer())
    ids = torch.tensor([[3, 1, 4, 1, 5]])
    hidden = language.decode(language.input_embeddings(ids)).last_hidden_state
    torch.testing.assert_close(language.head(hidden), model(ids).logits)
    assert not torch.allclose(model.get_output_embeddings()(hidden), model(ids).logits)


def test_a_model_that_changes_its_logits_otherwise_is_refused() -> None:
    """Its head alone would give other numbers than its forward."""
    model = AutoModelForCausalLM.from_config(Gemma2Config(**SMALL, final_logit_softcapping=0.01))

    def forward(**kwargs: Any) -> Any:
        out = type(model).forward(model, **kwargs)
        out.logits = out.logits.square()
        return out

    model.forward = forward  # type: ignore[method-assign]
    with pytest.raises(ConfigError, match=r"language\.path: Gemma2ForCausalLM changes its logits"):
        Language(model.eval(), tiny_tokenizer())


def test_long_rope_ends_at_the_original_window() -> None:
    rope = {
        "rope_type": "longrope",
        "rope_theta": 10000.0,
        "short_factor": [1.0] * 4,
        "long_factor": [2.0] * 4,
        "original_max_position_embeddings": 64,
        "factor": 4.0,
    }
    config = Phi3Config(
        **SMALL,
        max_position_embeddings=256,
        original_max_position_embeddings=64,
        rope_parameters=rope,
        pad_token_id=0,
    )
    language = Language(AutoModelForCausalLM.from_config(config).eval(), tiny_tokenizer())
    assert language.max_length == 64


@pytest.mark.embedded
@torch.no_grad()
def test_smollm2_says_what_it_says_whole() -> None:
    language = load_language(LanguageConfig())
    ids = torch.tensor([language.tokenizer("A red car beside a").input_ids])
    hidden = language.decode(language.input_embeddings(ids)).last_hidden_state
    whole = AutoModelForCausalLM.from_pretrained(language.model.config._name_or_path).eval()
    torch.testing.assert_close(language.head(hidden), whole(ids).logits, rtol=1e-4, atol=1e-4)


def test_text_that_spells_a_special_token_stays_text():
    tokenizer = tiny_tokenizer()
    ids = tokenize_caption(f"a {EOS} b", tokenizer).ids
    assert tokenizer.eos_token_id not in ids
    assert tokenizer.decode(ids) == f"a {EOS} b"
