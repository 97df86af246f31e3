"""Whether what a model of `transformers` wrote came to its end, or was cut at its longest."""

from typing import Any

import torch


def find_cut_rows(new_BT: torch.Tensor, longest_tokens: int, generation: Any) -> list[bool]:
    """Whether each row of generated tokens stopped for want of room.

    Args:
        new_BT: Token ids behind the prompt (or behind a decoder's first token).
        longest_tokens: The `max_new_tokens` they were generated with.
        generation: The model's GenerationConfig.
    """
    # BART and Florence-2 end a cut row too, by an end forced into the last place
    forced = getattr(generation, "forced_eos_token_id", None) is not None
    ends = torch.tensor(_end_ids(generation), dtype=new_BT.dtype, device=new_BT.device)
    ended_BT = torch.isin(new_BT[:, : longest_tokens - forced], ends)
    return (~ended_BT.any(1)).tolist()


def _end_ids(generation: Any) -> list[int]:
    ids = generation.eos_token_id
    return ids if isinstance(ids, list) else [] if ids is None else [ids]
