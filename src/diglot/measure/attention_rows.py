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
from transformers.masking_utils import sdpa_mask

from diglot.core.errors import ConfigError
from diglot.core.layout import Packed
from diglot.models.attention import split_attention
from diglot.models.decode import rule_inputs, sliding_window
from diglot.models.language import Language
from diglot.models.visual_rules import position_inputs

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
    """SDPA over (1, heads, T, width); with `wanted` the weights of its rows are noted.

    A mask of the whole document counts, as a visual rule or a sliding window needs it; without one
    the document is causal.
    """
    if wanted is None:
        return split_attention(module, query, key, value, attention_mask, **kwargs)
    _check_known(kwargs)
    whole = attention_mask is not None and attention_mask.shape[-1] == key.shape[2]
    mask = attention_mask if whole else None
    scores = RowScores(query, key, mask, kwargs.get("scaling"), kwargs.get("softcap"))
    wanted.weight_QT.append(scores.weigh(wanted.query_Q).mean(dim=0))
    if scores.softcap is None:
        return split_attention(module, query, key, value, mask, **kwargs)
    # SDPA caps no scores: all rows of this one layer
    every_T = torch.arange(query.shape[2], device=query.device)
    heads_HTd = scores.weigh(every_T).to(value.dtype) @ _share_heads(value, query)
    return heads_HTd.transpose(0, 1)[None].contiguous(), None


def _check_known(options: dict[str, Any]) -> None:
    """Raises ConfigError where a layer's weights are more than a softmax of its scores."""
    if options.get("s_aux") is not None:
        raise ConfigError(
            "the language model's attention has a s_aux, so its weights are not known here",
            where="measures.attention",
            fix="Leave the measure out for this model.",
        )


def _share_heads(value: torch.Tensor, query: torch.Tensor) -> torch.Tensor:
    """Keys or values (H, T, d): each key-value head serves a group of query heads."""
    return value[0].repeat_interleave(query.shape[1] // value.shape[1], dim=0)


@dataclass
class RowScores:
    """The scores of one layer, of which some rows are asked for."""

    query: torch.Tensor
    key: torch.Tensor
    mask_11TT: torch.Tensor | None  # additive; None: causal
    scaling: float | None
    softcap: float | None

    def weigh(self, query_Q: torch.Tensor) -> torch.Tensor:
        """softmax(q k^T * scaling), capped where the model does, of these rows, (H, Q, T)."""
        query_Q = query_Q.to(self.query.device)
        key_HTd = _share_heads(self.key, self.query).float()
        scale = self.query.shape[-1] ** -0.5 if self.scaling is None else self.scaling
        score_HQT = self.query[0, :, query_Q].float() @ key_HTd.transpose(1, 2) * scale
        if self.softcap is not None:
            score_HQT = self.softcap * torch.tanh(score_HQT / self.softcap)
        if self.mask_11TT is not None:
            return (score_HQT + self.mask_11TT[0, 0, query_Q].float()).softmax(dim=-1)
        later_QT = torch.arange(key_HTd.shape[1], device=query_Q.device) > query_Q[:, None]
        return score_HQT.masked_fill(later_QT, -torch.inf).softmax(dim=-1)


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
    language: Language, packed: Packed, embeds_1TD: torch.Tensor, query_Q: torch.Tensor
) -> torch.Tensor:
    """Weights of some query positions of one document, float32 (L, Q, T); rows sum to 1.

    To be called inside `record_rows`. Raises ConfigError where a layer's attention cannot be taken:
    a model whose layers do not attend through transformers' interface.
    """
    wanted = WantedRows(query_Q.to(embeds_1TD.device))
    inputs = _document_inputs(language, packed, embeds_1TD)
    language.decode(embeds_1TD, by_rule=True, **inputs, wanted=wanted)
    layers = language.model.config.get_text_config().num_hidden_layers
    if len(wanted.weight_QT) != layers:
        raise ConfigError(
            f"{type(language.model).__name__} gave the attention of {len(wanted.weight_QT)} layers",
            expected=f"{layers}",
            where="measures.attention",
            fix="Leave the measure out for this model.",
        )
    return torch.stack(wanted.weight_QT).cpu()


def _document_inputs(
    language: Language, packed: Packed, embeds_1TD: torch.Tensor
) -> dict[str, Any]:
    """Positions, and a mask of the whole document where causal attention is not all."""
    window = sliding_window(language.model.config)
    if language.rule.both_ways or (window and embeds_1TD.shape[1] > window):
        return rule_inputs(language, packed, embeds_1TD, "sdpa")
    unused = embeds_1TD.new_zeros(1, 1, 1, 1)  # a 4D mask keeps transformers from making one
    return position_inputs(language.rule, packed) | {"attention_mask": unused}
