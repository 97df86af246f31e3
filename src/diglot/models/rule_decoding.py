"""Greedy text of a model with a visual rule, token by token behind a packed prompt.

`transformers`' generate on embeddings alone would give it plain positions and a plain mask.
"""

from typing import Any

import torch
from transformers import DynamicCache

from diglot.core.layout import Packed
from diglot.models.decode import rule_inputs
from diglot.models.export.generation import generation_config
from diglot.models.vlm import VLM


@torch.no_grad()
def continue_by_rule(vlm: VLM, packed: Packed, embeds_1TD: torch.Tensor, *, max_tokens: int) -> str:
    """The likeliest continuation of one prompt, without special tokens. The cache is the prompt's.

    Of the generation config the end tokens count; its penalties do not.
    """
    language, ids = vlm.language, []
    ends = end_tokens(language.model, language.tokenizer)
    cache = DynamicCache(config=language.decoder.config)
    inputs = rule_inputs(language, packed, embeds_1TD, vlm.attention)
    position = int(inputs["position_ids"].max())
    while len(ids) < max_tokens:
        hidden = language.decode(
            embeds_1TD, by_rule=True, past_key_values=cache, use_cache=True, **inputs
        ).last_hidden_state
        token = int(language.head(hidden[0, -1]).argmax())
        if token in ends:
            break
        ids.append(token)
        next_1 = packed.token_BT.new_tensor([[token]])
        embeds_1TD, position = language.input_embeddings(next_1), position + 1
        inputs = {"position_ids": torch.full_like(next_1, position)}  # one number for all axes
    text: Any = language.tokenizer.decode(ids, skip_special_tokens=True)
    return text.strip()


def end_tokens(model: Any, tokenizer: Any) -> set[int]:
    """The tokens that end an answer, by the checkpoint's generation config."""
    ends: Any = generation_config(model, tokenizer, None).eos_token_id
    return set(ends) if isinstance(ends, list) else {ends}
