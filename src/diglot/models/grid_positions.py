"""Positions of rows and columns (M-RoPE) for a language model that was trained with plain ones.

Wang et al. 2024, arXiv 2409.12191, section 2.1, as Qwen2.5-VL has it: the rotary frequencies are
split between time, row and column. For words all three are equal, so text is read as before.
"""

import copy
from typing import Any

import torch
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLRotaryEmbedding

from diglot.core.errors import ConfigError
from diglot.models.language import Language

WHERE = "model.language.grid_positions"


def axis_sections(frequencies: int) -> list[int]:
    """How many rotary frequencies time, row and column get: 16, 24, 24 of 64 in Qwen2.5-VL."""
    side = frequencies * 3 // 8
    return [frequencies - 2 * side, side, side]


def grid_rope(rope: dict[str, Any], head_width: int) -> dict[str, Any]:
    """A config's `rope_parameters` with the sections of the axes."""
    return {**rope, "mrope_section": axis_sections(head_width // 2)}


def give_grid_positions(language: Language) -> None:
    """Put rotary embeddings of three axes in the place of the decoder's own.

    Raises ConfigError where on plain positions they are not what the decoder had.
    """
    decoder = language.decoder
    plain = getattr(decoder, "rotary_emb", None)
    if isinstance(plain, Qwen2_5_VLRotaryEmbedding):
        return
    grid = _make_rotary(language) if plain is not None else None
    if grid is None or not _same_on_text(plain, grid, language):
        raise ConfigError(
            f"{type(language.model).__name__} has other rotary embeddings than Qwen2's, which are "
            "not known by rows and columns",
            expected="a language model of Qwen2's design",
            where=WHERE,
            fix="Set it to false.",
        )
    decoder.rotary_emb = grid


def _make_rotary(language: Language) -> Any:
    config = copy.deepcopy(language.model.config)
    rope = getattr(config, "rope_parameters", None) or {}
    if rope.get("rope_type") != "default" or "partial_rotary_factor" in rope:
        return None
    config.rope_parameters = grid_rope(rope, language.head_width)
    return Qwen2_5_VLRotaryEmbedding(config).to(language.input_embeddings.weight.device)


def _same_on_text(plain: Any, grid: Any, language: Language) -> bool:
    """Cosines and sines (1, T, head width) of a few plain positions, near and far."""
    weight_VD = language.input_embeddings.weight
    position_1T = torch.tensor([[0, 1, 2, 17, language.max_length - 1]], device=weight_VD.device)
    embeds_1TD = weight_VD.new_zeros(1, 5, weight_VD.shape[1])
    try:
        pairs = zip(plain(embeds_1TD, position_1T), grid(embeds_1TD, position_1T), strict=True)
        return all(ours.shape == theirs.shape and ours.equal(theirs) for ours, theirs in pairs)
    except (TypeError, RuntimeError, ValueError, KeyError):
        return False
