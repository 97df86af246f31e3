"""Attention of chosen query positions, taken beside the model's own attention.

A model on SDPA gives no attention weights, and asking for all of them keeps (heads, T, T) of every
layer at once. Here the model attends as ever, and the softmax of the wanted rows alone is taken
beside it, averaged over heads: memory is (rows, T) a layer.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from diglot.core.errors import ConfigError
from diglot.models.language import Language

NAME = "diglot_rows"


@dataclass
class WantedRows:
    """Which query positions of the one document in the pass, and what each layer gave for them."""

    query_Q: torch.Tensor  # int64
    weight_QT: list[torch.Tensor] = field(default_factory=list)  # of every layer, mean over heads


def attend_and_record(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    wanted: WantedRows | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """SDPA over (1, heads, T, width); with `wanted`, causal, and the weights of its rows noted."""
    if wanted is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)
    _check_plain(key.shape[2], kwargs)
    wanted.weight_QT.append(_row_weights(query, key, wanted.query_Q, kwargs.get("scaling")))
    return sdpa_attention_forward(module, query, key, value, None, **kwargs)[0], None


def _check_plain(length: int, options: dict[str, Any]) -> None:
    """Raises ConfigError where a layer's weights are more than a causal softmax of its scores."""
    window = options.get("sliding_window")
    if window is not None and length > window:
        raise ConfigError(
            "a document is longer than the language model's sliding attention window",
            expected=f"at most {window} tokens",
            got=length,
            where="measures.attention",
        )
    changed = [name for name in ("softcap", "s_aux") if options.get(name) is not None]
    if changed:
        raise ConfigError(
            f"the language model's attention has a {changed[0]}, so its weights are not known here",
            where="measures.attention",
            fix="Leave the measure out for this model.",
        )


def _row_weights(
    query: torch.Tensor, key: torch.Tensor, query_Q: torch.Tensor, scaling: float | None
) -> torch.Tensor:
    """softmax(q k^T * scaling) of the wanted rows under the causal rule, mean over heads (Q, T)."""
    chosen_HQd = query[0, :, query_Q].float()
    # each key-value head serves a group of query heads
    key_HTd = key[0].float().repeat_interleave(query.shape[1] // key.shape[1], dim=0)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    score_HQT = chosen_HQd @ key_HTd.transpose(1, 2) * scale
    later_QT = torch.arange(key.shape[2], device=key.device) > query_Q[:, None]
    return score_HQT.masked_fill(later_QT, -torch.inf).softmax(dim=-1).mean(dim=0)


@contextlib.contextmanager
def record_rows(language: Language) -> Iterator[None]:
    """Within the block the language model attends through `attend_and_record`."""
    AttentionInterface.register(NAME, attend_and_record)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    before = language.model.config.get_text_config()._attn_implementation
    language.model.set_attn_implementation(NAME)
    try:
        yield
    finally:
        language.model.set_attn_implementation(before)


@torch.inference_mode()
def attention_of_rows(
    language: Language, embeds_1TD: torch.Tensor, query_Q: torch.Tensor
) -> torch.Tensor:
    """Weights of some query positions of one causal document, float32 (L, Q, T); rows sum to 1.

    To be called inside `record_rows`. Raises ConfigError where a layer's attention cannot be taken:
    a model whose layers do not attend through transformers' interface.
    """
    wanted = WantedRows(query_Q.to(embeds_1TD.device))
    unused = embeds_1TD.new_zeros(1, 1, 1, 1)  # a 4D mask keeps transformers from making one
    positions = torch.arange(embeds_1TD.shape[1], device=embeds_1TD.device)[None]
    language.decode(embeds_1TD, attention_mask=unused, position_ids=positions, wanted=wanted)
    layers = language.model.config.get_text_config().num_hidden_layers
    if len(wanted.weight_QT) != layers:
        raise ConfigError(
            f"{type(language.model).__name__} gave the attention of {len(wanted.weight_QT)} layers",
            expected=f"{layers}",
            where="measures.attention",
            fix="Leave the measure out for this model.",
        )
    return torch.stack(wanted.weight_QT).cpu()
