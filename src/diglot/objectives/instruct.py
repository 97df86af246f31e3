"""Instruction tuning: a conversation under the LLM's chat template, its answers learned (stage 2).

Loss on the learned assistant's turns alone, the stop token of each included (LLaVA's visual
instruction tuning; stage 2 of MMCS, Patch-aligned, VDEP and SEA). What is learned is found from the
template itself; see `models.chat_template`.
"""

import logging
from collections.abc import Sequence as Seq
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedTokenizerFast

from diglot.core.batch import Batch, ForwardOutput, Reads
from diglot.core.conversation import IMAGE_PLACEHOLDER, Turn
from diglot.core.errors import ConfigError, DataError, locate_errors
from diglot.core.geometry import TokenGrid
from diglot.core.objective import Prepared, RecordKind, Reduction, count_learned, token_loss
from diglot.core.types import LossTerms, Sample
from diglot.models.chat_segments import chat_segments, read_template
from diglot.models.chat_template import TokenizedChat, tokenize_chat

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Options of instruction tuning."""

    template: str | None = None
    """Path of a Jinja file to use in place of the tokenizer's own chat template; checkpoints and
    exports carry it. A model without one learns under the turns USER: and ASSISTANT:."""
    images_first: bool = False
    """Write a turn's images before its text, as LLaVA does, wherever the record has them."""
    max_tokens: int | None = None
    """Longest document, visual tokens included. Whole exchanges are cut from the end of a longer
    one; an image or an answer never in the middle."""
    reduction: Reduction = "mean"
    """mean over the supervised tokens of the optimizer step, or their sum."""

    def __post_init__(self) -> None:
        if self.max_tokens is not None and self.max_tokens < 1:
            raise ConfigError("must be at least 1", got=self.max_tokens, where="max_tokens")


class InstructObjective:
    """L = - sum over the answers' tokens of log p(x_t | everything before), in nats."""

    terms = ("text",)
    reads: frozenset[Reads] = frozenset({"log_probs"})
    takes: frozenset[RecordKind] = frozenset({"conversation"})

    def __init__(self, config: Config) -> None:
        self.config, self.reduction = config, config.reduction
        self.weights = {"text": 1.0}
        self.template = None if config.template is None else read_template(Path(config.template))

    def prepare(
        self,
        sample: Sample,
        grids: Seq[TokenGrid],
        tokenizer: PreTrainedTokenizerFast,
        rng: torch.Generator,
    ) -> Prepared:
        """The rendered conversation with its images. Raises DataError where nothing is learned."""
        if not sample.is_conversation:
            raise DataError(
                "not a conversation",
                expected="a record with turns",
                got="a captioned image",
                where=f"sample {sample.id!r}, turns",
            )
        turns = move_images(sample.turns) if self.config.images_first else sample.turns
        with locate_errors(f"sample {sample.id!r}"):
            chat = tokenize_chat(turns, tokenizer, self.template)
        if not chat.served:
            _warn_served_otherwise()
        kept, cut = _fit_tokens(chat, [len(grid) for grid in grids], self.config.max_tokens)
        sequence = chat_segments(chat, 0, kept)
        counts = count_learned(sequence)
        if not counts:
            raise DataError(
                "nothing to learn within max_tokens",
                expected=f"a learned answer in the first {self.config.max_tokens} tokens",
                where=f"sample {sample.id!r}, turns",
                fix="Raise objective.max_tokens.",
            )
        return Prepared(
            sequence, counts=counts, notes={"answer beyond max_tokens": cut} if cut else {}
        )

    def loss(self, out: ForwardOutput, batch: Batch) -> LossTerms:
        """Summed negative log-likelihood of the learned tokens, in nats."""
        return token_loss(out, batch)


def move_images(turns: Seq[Turn]) -> tuple[Turn, ...]:
    """The same turns, each with its images before its text, a newline behind each of them."""
    moved = []
    for turn in turns:
        images = turn.text.count(IMAGE_PLACEHOLDER)
        text = turn.text.replace(IMAGE_PLACEHOLDER, "").strip() if images else turn.text
        moved.append(replace(turn, text=f"{IMAGE_PLACEHOLDER}\n" * images + text))
    return tuple(moved)


@cache
def _warn_served_otherwise() -> None:
    """Once a process."""
    log.warning(
        "the chat template's prompt for an answer (add_generation_prompt) is not what it writes "
        "before the answer itself: the model is served with other tokens than it learns behind"
    )


def _fit_tokens(
    chat: TokenizedChat, visual_counts: list[int], max_tokens: int | None
) -> tuple[int, int]:
    """How many tokens to keep, ending behind an answer, and how many learned answers go."""
    total = len(chat.ids_T)
    sizes_T = np.ones(total, np.int64)
    sizes_T[chat.ids_T < 0] = visual_counts
    if max_tokens is None or sizes_T.sum() <= max_tokens:
        return total, 0
    fits_T = sizes_T.cumsum() <= max_tokens
    whole = [n for n in np.unique(chat.turn_T) if fits_T[chat.turn_T == n].all()]
    kept = int((chat.turn_T <= max(whole, default=-1)).sum())
    return kept, len(np.unique(chat.turn_T[kept:][chat.learned_T[kept:]]))


def build(config: Config) -> InstructObjective:
    """The objective. Raises ConfigError where the template cannot be read."""
    return InstructObjective(config)
