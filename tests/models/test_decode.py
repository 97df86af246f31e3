"""Which form of attention a language model honours, asked of the model itself."""

import contextlib
import logging
from typing import Any

import pytest
import torch
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    Gemma3TextConfig,
    MistralConfig,
    Qwen2Config,
)
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from diglot.core.errors import ConfigError
from diglot.core.layout import Packed, encode, pack
from diglot.core.segments import Branch, Encoded, Tokens
from diglot.models.config import Attention
from diglot.models.decode import choose_attention, decode_packed, set_attention
from diglot.models.language import find_decoder
from diglot.models.visual_rules import VisualRule
from tests.models.tiny_families import SIZES, families, tiny_family


class Bare(nn.Module):
    """A causal LM as `Language` shows it, without a tokenizer."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self.rule = VisualRule()

    @property
    def input_embeddings(self) -> nn.Embedding:
        return self.model.get_input_embeddings()

    @property
    def decoder(self) -> Any:
        return find_decoder(self.model)

    def decode(self, embeds_BTD: torch.Tensor, **kwargs: Any) -> Any:
        return self.decoder(inputs_embeds=embeds_BTD, use_cache=False, **kwargs)


@pytest.mark.parametrize(
    ("family", "expected"),
    [
        *(("llama", "split"), ("stablelm", "sdpa"), ("gemma2", "eager"), ("lfm2", "separate")),
        *(("mllama", "split"), ("llama4_text", "separate")),
    ],
)
def test_the_form_that_the_model_honours_is_used_and_named(family, expected, caplog) -> None:
    with caplog.at_level(logging.WARNING):
        assert choose_attention(Bare(tiny_family(family)), "split") == expected  # type: ignore[arg-type]
    assert (expected in caplog.text) == (expected != "split")


def test_a_model_that_sees_the_future_is_refused() -> None:
    with pytest.raises(ConfigError, match="not causal"):
        choose_attention(Bare(tiny_family("bert")), "split")  # type: ignore[arg-type]


PER_LAYER: dict[str, Any] = {
    "hidden_size_per_layer_input": 8,
    "vocab_size_per_layer_input": 64,
    "num_kv_shared_layers": 0,
    "layer_types": ["sliding_attention", "full_attention"],
}


@pytest.mark.parametrize("family", ["gemma3n_text", "gemma4_text"])
def test_a_model_that_reads_ids_beside_the_vectors_is_refused(family: str) -> None:
    """Without ids Gemma 3n leaves its per-layer inputs out; Gemma 4 fails at visual tokens."""
    sizes = {name: SIZES[name] for name in PLAIN_SIZES if name != "head_dim"} | PER_LAYER
    if family == "gemma3n_text":
        sizes |= {
            "laurel_rank": 4,
            "altup_num_inputs": 2,
            "activation_sparsity_pattern": [0.0, 0.0],
        }
        sizes |= {"intermediate_size": [48, 48], "head_dim": 8}
    model = AutoModelForCausalLM.from_config(CONFIG_MAPPING[family](**sizes)).float().eval()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for parameter in model.parameters():  # some start at zero, and would leave the inputs out
            torch.nn.init.normal_(parameter, std=0.2)
    with pytest.raises(ConfigError, match=r"path: .*reads ids of words.*per-layer inputs"):
        choose_attention(Bare(model), "split")  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize("family", families())
def test_every_family_is_right_or_refused(family: str) -> None:
    """Loss and gradient under the form chosen equal those of plain forwards, or one clear error."""
    try:
        model = tiny_family(family)
    except Exception as error:
        pytest.skip(f"no tiny configuration by the one rule: {str(error)[:80]}")
    language: Any = Bare(model)
    with contextlib.suppress(ConfigError):  # refused, by name and with the reason
        assert_equals_plain(language, choose_attention(language, "split"))


@pytest.mark.slow
def test_the_table_runs_nearly_every_family() -> None:
    lacking = []
    for family in families():
        try:
            tiny_family(family)
        except Exception as error:
            lacking.append(f"{family}: {str(error)[:80]}")
    assert len(lacking) <= 12, lacking


def documents(words: int) -> list[Encoded]:
    """Three documents of different lengths, two with branches, of ids below `words`."""

    def ids(start: int, count: int) -> tuple[int, ...]:
        return tuple((start + i) % words for i in range(count))

    sequences = [
        (Tokens(ids(3, 5)), Branch(ids(20, 3), "t"), Tokens(ids(9, 30), "t")),
        (Tokens(ids(11, 6)), Tokens(ids(17, 4), "t")),
        (Tokens(ids(5, 25)), Branch(ids(40, 4), "t"), Tokens(ids(1, 2), "t"), Branch((7,), "t")),
    ]
    return [encode(s, visual_counts=(), terms=("t",)) for s in sequences]


def assert_equals_plain(
    language: Any, form: Attention, made: list[Encoded] | None = None, *, row_tokens: int = 64
) -> None:
    packed = pack(made or documents(60), row_tokens=row_tokens)
    results = [hidden_and_gradient(language, packed, each) for each in (form, "separate")]
    scale = results[1][0].square().mean().sqrt()
    assert (results[0][0] - results[1][0]).abs().max() < 2e-3 * scale
    scale = results[1][1].square().mean().sqrt()
    assert (results[0][1] - results[1][1]).abs().max() < 1e-2 * scale


def hidden_and_gradient(
    language: Any, packed: Packed, form: Attention
) -> tuple[torch.Tensor, torch.Tensor]:
    set_attention(language, form)
    embeds_BTD = language.input_embeddings(packed.token_BT).detach().requires_grad_()
    hidden_BTD = decode_packed(language, packed, embeds_BTD, form).last_hidden_state
    hidden_ND = hidden_BTD[packed.document_BT >= 0]
    weights_ND = torch.linspace(-1, 1, hidden_ND.numel()).reshape(hidden_ND.shape)
    (hidden_ND * weights_ND).sum().backward()
    assert embeds_BTD.grad is not None
    return hidden_ND.detach(), embeds_BTD.grad[packed.document_BT >= 0]


PLAIN_SIZES = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "max_position_embeddings",
    "initializer_range",
)


def windowed(kind: str, **changes: Any) -> Any:
    """A model of two layers whose window of 8 is shorter than the documents."""
    sizes = {name: SIZES[name] for name in PLAIN_SIZES}
    if kind == "mistral":
        config: Any = MistralConfig(**sizes, sliding_window=8)
    elif kind == "gemma3":
        layers = ["sliding_attention", "full_attention"]
        config = Gemma3TextConfig(
            **sizes, sliding_window=8, layer_types=layers, query_pre_attn_scalar=8
        )
    elif kind == "gemma2":  # every other layer slides; scores of this size are capped by much
        caps = {"attn_logit_softcapping": 0.5, "query_pre_attn_scalar": 8} | changes
        config = Gemma2Config(**sizes, sliding_window=8, **caps)
    else:
        layers = ["full_attention", "sliding_attention"]
        config = Qwen2Config(**sizes, sliding_window=8, use_sliding_window=True, layer_types=layers)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return AutoModelForCausalLM.from_config(config).eval()


@pytest.mark.parametrize("form", ["split", "sdpa"])
@pytest.mark.parametrize("kind", ["mistral", "gemma3", "qwen2"])
def test_a_window_is_the_model_s_own_in_documents_beyond_it(kind: str, form) -> None:
    """The window counts attended distance: a branch continues from its fork."""
    language: Any = Bare(windowed(kind))
    assert choose_attention(language, form) == form
    assert_equals_plain(language, form)


def test_capped_scores_take_the_model_s_own_attention() -> None:
    """In one dense mask a row; scores too small to be capped are no reason for another form."""
    language: Any = Bare(windowed("gemma2"))
    assert choose_attention(language, "split") == "eager"
    assert_equals_plain(language, "eager")
    packed = pack(documents(60), row_tokens=64)
    uncapped: Any = Bare(windowed("gemma2", attn_logit_softcapping=None))
    free, capped = (hidden_and_gradient(x, packed, "eager")[0] for x in (uncapped, language))
    assert (free - capped).abs().max() > 0.1 * capped.square().mean().sqrt()


def gemma3_1b() -> Any:
    """Its kinds of layers and its window, narrow: 512 positions in five layers of six."""
    sizes = {name: SIZES[name] for name in PLAIN_SIZES} | {
        "num_hidden_layers": 6,
        "num_key_value_heads": 1,
        "max_position_embeddings": 32_768,
        "initializer_range": 0.4,
    }
    config = Gemma3TextConfig(
        **sizes, sliding_window=512, sliding_window_pattern=6, query_pre_attn_scalar=8
    )
    assert config.layer_types.count("sliding_attention") == 5
    assert config.sliding_window == 512
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return AutoModelForCausalLM.from_config(config).eval()


def long_documents() -> list[Encoded]:
    """Records longer than a window of 512, branches before and behind it, and a short record."""
    generator = torch.Generator().manual_seed(2)
    words = tuple(torch.randint(3, 64, (1200,), generator=generator).tolist())
    start = Tokens((1, 2))

    def text(start: int, stop: int) -> Tokens:
        return Tokens(words[start:stop], "t")

    def branch(start: int, stop: int) -> Branch:
        return Branch(words[start:stop], "t")

    sequences = [
        (start, text(0, 300), branch(900, 905), text(300, 700), branch(910, 930), text(700, 740)),
        (start, text(740, 760), branch(930, 934)),
        (start, text(100, 660), branch(660, 670)),
    ]
    return [encode(s, visual_counts=(), terms=("t",)) for s in sequences]


@pytest.mark.parametrize("form", ["split", pytest.param("sdpa", marks=pytest.mark.slow)])
def test_gemma_3_learns_from_records_longer_than_its_window(form: Attention) -> None:
    language: Any = Bare(gemma3_1b())
    assert choose_attention(language, form) == form
    assert_equals_plain(language, form, long_documents(), row_tokens=1400)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mistral", "gemma3", "gemma2", "gemma3 1b"])
@torch.no_grad()
def test_flex_has_the_window_too(kind: str) -> None:
    """Its forward alone: FlexAttention has no backward on a CPU."""
    one_b = kind == "gemma3 1b"
    language: Any = Bare(gemma3_1b() if one_b else windowed(kind))
    made = long_documents() if one_b else documents(60)
    packed = pack(made, row_tokens=1400 if one_b else 64)
    hidden = []
    for form in ("flex", "separate"):
        set_attention(language, form)
        embeds_BTD = language.input_embeddings(packed.token_BT)
        hidden_BTD = decode_packed(language, packed, embeds_BTD, form).last_hidden_state
        hidden.append(hidden_BTD[packed.document_BT >= 0])
    torch.testing.assert_close(*hidden, rtol=1e-3, atol=1e-3)
