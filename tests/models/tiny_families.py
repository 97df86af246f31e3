"""Tiny random configurations of the causal LMs that `transformers` has, made by one rule."""

from typing import Any

import torch
from transformers import AutoModelForCausalLM
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

SIZES: dict[str, Any] = {
    "vocab_size": 64,
    **dict.fromkeys(("hidden_size", "n_embd", "d_model", "dim", "n_embed"), 32),
    **dict.fromkeys(("intermediate_size", "ffn_dim", "n_inner", "ffn_hidden_size"), 48),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "num_layers"), 2),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads"), 4),
    **dict.fromkeys(("num_key_value_heads", "num_kv_heads", "multi_query_group_num"), 2),
    **dict.fromkeys(("head_dim", "kv_channels", "attention_head_dim"), 8),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len"), 128),
    **dict.fromkeys(("moe_intermediate_size", "shared_expert_intermediate_size"), 16),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts"), 4),
    "num_experts_per_tok": 2,
    "n_group": 1,
    "topk_group": 1,
    "q_lora_rank": 16,
    "kv_lora_rank": 16,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8,
    "v_head_dim": 8,
    "word_embed_proj_dim": 32,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "initializer_range": 0.2,
}


# Families whose layers are of several kinds: one of each, where the default has but one.
KINDS: dict[str, Any] = {"lfm2": {"layer_types": ["conv", "full_attention"]}}
MOST_PARAMETERS = 4_000_000


def families() -> list[str]:
    """Names of all causal LMs that `transformers` knows, sorted."""
    return sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)


def tiny_family(name: str, **settings: Any) -> Any:
    """A random causal LM of this family, float32, eval mode; `settings` take the rule's place.

    Raises what `transformers` raises where the one rule of sizes does not make one.
    """
    default = CONFIG_MAPPING[name]()
    sizes = {key: value for key, value in SIZES.items() if hasattr(default, key)}
    if hasattr(default, "kv_lora_rank"):  # latent attention has as many keys as queries
        sizes["num_key_value_heads"] = sizes["num_attention_heads"]
    config = CONFIG_MAPPING[name](**{**sizes, **KINDS.get(name, {}), **settings})
    with torch.device("meta"):  # counted before anything is made: some sizes go by other names
        empty = AutoModelForCausalLM.from_config(config)
    parameters = sum(p.numel() for p in empty.parameters())
    if parameters > MOST_PARAMETERS:
        raise ValueError(f"not tiny: {parameters} parameters")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return AutoModelForCausalLM.from_config(config).float().eval()
