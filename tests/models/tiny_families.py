"""Tiny random configurations of the causal LMs that `transformers` has, made by one rule.

Every size that a configuration has, under whichever name, is made small; a configuration inside
another likewise; a list of a value for each layer keeps one layer of each kind. What one family
cannot have is found by trying: the settings of `TRIALS`, one after the other.
"""

import copy
from typing import Any

import torch
from transformers import AutoModelForCausalLM, PreTrainedConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

LAYERS = (
    *("num_hidden_layers", "n_layer", "n_layers", "num_layers", "decoder_layers", "encoder_layers"),
    *("num_decoder_layers", "num_encoder_layers"),
)
SIZES: dict[str, Any] = {
    "vocab_size": 64,
    **dict.fromkeys(("hidden_size", "n_embd", "d_model", "dim", "n_embed"), 32),
    **dict.fromkeys(("intermediate_size", "ffn_dim", "n_inner", "ffn_hidden_size"), 48),
    **dict.fromkeys(("decoder_ffn_dim", "encoder_ffn_dim"), 48),
    **dict.fromkeys(LAYERS, 2),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads"), 4),
    **dict.fromkeys(("decoder_attention_heads", "encoder_attention_heads"), 4),
    **dict.fromkeys(("num_decoder_attention_heads", "num_encoder_attention_heads"), 4),
    **dict.fromkeys(("num_key_value_heads", "num_kv_heads", "multi_query_group_num"), 2),
    **dict.fromkeys(("head_dim", "kv_channels", "attention_head_dim"), 8),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len"), 128),
    **dict.fromkeys(("moe_intermediate_size", "shared_expert_intermediate_size"), 16),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts"), 4),
    "num_experts_per_tok": 2,
    "n_shared_experts": 1,
    "n_group": 1,
    "topk_group": 1,
    "q_lora_rank": 16,
    "kv_lora_rank": 16,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8,
    "v_head_dim": 8,
    "num_kv_shared_layers": 0,
    "hidden_size_per_layer_input": 8,
    **dict.fromkeys(("word_embed_proj_dim", "embedding_size", "input_embedding_size"), 32),
    "rotary_dim": 4,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "initializer_range": 0.2,
}


# Families whose layers are of several kinds: one of each, where the default has but one.
KINDS: dict[str, Any] = {"lfm2": {"layer_types": ["conv", "full_attention"]}}
# What the rule is tried with where it makes no model: a family may take one of a size alone.
TRIALS: tuple[dict[str, Any], ...] = (
    {},
    {"is_decoder": True},
    {"num_experts_per_tok": 1},
    {"hidden_size_per_layer_input": 0},
    {"layer_types": ["full_attention", "full_attention"]},
    {"num_heads": 8},
    {"mamba_n_heads": 4, "mamba_d_head": 16},  # together as wide as expand (2) times hidden_size
)
MOST_PARAMETERS = 4_000_000


def families() -> list[str]:
    """Names of all causal LMs that `transformers` knows, sorted."""
    return sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)


def tiny_family(name: str, **settings: Any) -> Any:
    """A random causal LM of this family, float32, eval mode; `settings` take the rule's place.

    Raises what `transformers` raises first where the rule of sizes does not make one.
    """
    first: Exception | None = None
    for trial, every_kind in [*((trial, True) for trial in TRIALS), ({}, False)]:
        try:
            given = {**KINDS.get(name, {}), **trial, **settings}
            return _make_family(tiny_config(CONFIG_MAPPING[name], given, every_kind=every_kind))
        except Exception as error:
            first = first or error
    assert first is not None
    raise first


def _make_family(config: PreTrainedConfig) -> Any:
    with torch.device("meta"):  # counted before anything is made: some sizes go by other names
        empty = AutoModelForCausalLM.from_config(config)
    parameters = sum(p.numel() for p in empty.parameters())
    if parameters > MOST_PARAMETERS:
        raise ValueError(f"not tiny: {parameters} parameters")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config).float().eval()
        for parameter in model.parameters():  # what starts at zero would leave its part out
            if not parameter.any():
                torch.nn.init.normal_(parameter, std=0.2)
    return model


def tiny_config(
    kind: type[PreTrainedConfig], settings: dict[str, Any], *, every_kind: bool = True
) -> PreTrainedConfig:
    """A configuration with all sizes small, inner ones too; a layer of every kind, or the first."""
    default = kind()
    words = {key: 64 for key, value in vars(default).items() if "vocab" in key and _is_size(value)}
    sizes = {key: value for key, value in SIZES.items() if _takes(default, key, value)} | words
    if _has(default, "kv_lora_rank"):  # latent attention has as many keys as queries
        sizes["num_key_value_heads"] = sizes["num_attention_heads"]
    inner = {
        key: tiny_config(type(value), {}, every_kind=every_kind).to_dict()
        for key, value in vars(default).items()
        if isinstance(value, PreTrainedConfig)
    }
    layers = _cut_layers(default, every_kind=every_kind)
    return kind(**{**sizes, **layers, **inner, **settings})


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 64


def _has(config: Any, key: str) -> bool:
    try:
        return hasattr(config, key)
    except Exception:  # a value that differs from layer to layer
        return False


def _takes(config: Any, key: str, value: Any) -> bool:
    """Does it have the field, and may the field be set?"""
    if not _has(config, key):
        return False
    try:
        setattr(copy.deepcopy(config), key, value)
    except (AttributeError, NotImplementedError):
        return False
    except Exception:  # not with the other sizes as they are
        return True
    return True


def _cut_layers(config: Any, *, every_kind: bool) -> dict[str, Any]:
    """Lists of a value for each layer, cut to a layer of each kind, and the number of layers."""
    counts = {key: getattr(config, key) for key in LAYERS if _has(config, key)}
    lists = {
        key: value
        for key, value in vars(config).items()
        if isinstance(value, list | tuple) and len(value) > 2 and len(value) in counts.values()
    }
    kinds = next((value for key, value in lists.items() if "type" in key), None)
    if kinds is None or not every_kind:
        return {key: value[:2] for key, value in lists.items()}
    first = sorted({kind: number for number, kind in reversed(list(enumerate(kinds)))}.values())
    chosen = first if len(first) > 1 else [0, 1]
    cut = {key: [value[n] for n in chosen] for key, value in lists.items()}
    return {**cut, **{key: len(chosen) for key, n in counts.items() if n == len(kinds)}}
