"""Written answers to several prompts at once, each what it would be alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence

from diglot.core.layout import Packed, encode, expand_lines, pack
from diglot.core.segments import Segment
from diglot.evaluate.tree import use_attention
from diglot.models.chat import ProjectedPicture
from diglot.models.export.generation import generation_config
from diglot.models.rule_decoding import continue_by_rule
from diglot.models.vlm import VLM


@dataclass(frozen=True)
class Written:
    """A prompt that is to be answered, with its picture."""

    segments: tuple[Segment, ...]
    projected: ProjectedPicture | None = None


@torch.inference_mode()
def write_answers(vlm: VLM, prompts: Sequence[Written], *, max_tokens: int) -> list[str]:
    """The likeliest answer to each prompt, token by token, without special tokens."""
    if not vlm.language.rule.is_plain:
        return [_write_by_rule(vlm, prompt, max_tokens) for prompt in prompts]
    rows = [_embed_prompt(vlm, prompt)[1].flip(0) for prompt in prompts]
    # rows end together, where each one's answer begins: padding stands in front
    embeds_BTD = pad_sequence(rows, batch_first=True).flip(1)
    ones = [row.new_ones(len(row), dtype=torch.int64) for row in rows]
    mask_BT = pad_sequence(ones, batch_first=True).flip(1)
    model, tokenizer = vlm.language.model, vlm.language.tokenizer
    config = generation_config(model, tokenizer, None)
    config.max_new_tokens, config.do_sample = max_tokens, False
    with use_attention(vlm, "sdpa"):
        ids_BT = model.generate(
            inputs_embeds=embeds_BTD, attention_mask=mask_BT, generation_config=config
        )
    texts: Any = tokenizer.batch_decode(ids_BT, skip_special_tokens=True)
    return [text.strip() for text in texts]


def _write_by_rule(vlm: VLM, prompt: Written, max_tokens: int) -> str:
    packed, embeds_TD = _embed_prompt(vlm, prompt)
    return continue_by_rule(vlm, packed, embeds_TD[None], max_tokens=max_tokens)


def _embed_prompt(vlm: VLM, prompt: Written) -> tuple[Packed, torch.Tensor]:
    """The prompt as one packed row, and its input embeddings (T, D)."""
    grids = [prompt.projected.grid] if prompt.projected else []
    counts = [len(grid) for grid in grids]
    document = encode(expand_lines(prompt.segments, grids), visual_counts=counts, terms=())
    weight = vlm.language.input_embeddings.weight
    inputs_PD = prompt.projected.inputs_PD if prompt.projected else weight[:0]
    packed = pack([document], row_tokens=1).to(weight.device)
    return packed, vlm.embed(packed, inputs_PD)[0]
