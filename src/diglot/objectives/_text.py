"""What caption-like objectives share: the frame around image and caption, and the text loss."""

from collections.abc import Sequence as Seq
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedTokenizerFast

from diglot.core.batch import Batch, ForwardOutput
from diglot.core.errors import DataError
from diglot.core.types import Image, LossTerms, Sample, Segment, Tokens


@dataclass(frozen=True, kw_only=True)
class Frame:
    """The fixed text around an image and its caption: [BOS] before V after caption [EOS]."""

    bos: bool = True  # keeps the first visual token from being the attention sink
    before: str = ""
    after: str = "\n"
    eos: bool = True  # the end is learned with the text


@dataclass(frozen=True)
class Caption:
    """A caption tokenised once."""

    ids: tuple[int, ...]
    offsets_T2: np.ndarray  # [start, end) characters of each token


def tokenize(text: str, tokenizer: PreTrainedTokenizerFast) -> Caption:
    """Token ids and character offsets of a text, without special tokens."""
    out = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    return Caption(tuple(out["input_ids"]), np.array(out["offset_mapping"]).reshape(-1, 2))


def caption_of(sample: Sample, tokenizer: PreTrainedTokenizerFast) -> Caption:
    """The sample's caption. Raises DataError where it has no words to learn."""
    caption = tokenize(sample.caption, tokenizer)
    if not caption.ids:
        raise DataError(
            "nothing to learn: the caption is empty", where=f"sample {sample.id!r}, caption"
        )
    return caption


def opening(frame: Frame, tokenizer: PreTrainedTokenizerFast, *, image: bool) -> list[Segment]:
    """[BOS] before V after; without the image only the BOS.

    A tokenizer without a BOS starts with its EOS, so that something stands before the first word.
    """
    bos = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    start = (int(bos),) if frame.bos and bos is not None else ()
    if not image:
        return [Tokens(start)]
    before, after = (tokenize(text, tokenizer).ids for text in (frame.before, frame.after))
    return [Tokens(start + before), Image(), Tokens(after)]


def ending(frame: Frame, tokenizer: PreTrainedTokenizerFast, learn: str | None) -> list[Segment]:
    """The EOS, if the frame has one."""
    eos = tokenizer.eos_token_id
    return [Tokens((int(eos),), learn)] if frame.eos and eos is not None else []


def count_learned(sequence: Seq[Segment]) -> dict[str, float]:
    """How many tokens each loss term learns."""
    counts: dict[str, float] = {}
    for segment in sequence:
        learn: Any = getattr(segment, "learn", None)
        if learn is not None:
            counts[learn] = counts.get(learn, 0.0) + len(segment.ids)  # type: ignore[union-attr]
    return counts


def token_loss(out: ForwardOutput, batch: Batch) -> LossTerms:
    """Summed negative log-likelihood per term, in nats, and the tokens it is over."""
    assert out.log_prob_S is not None
    packed = batch.packed
    sums = torch.zeros(len(packed.terms), device=out.log_prob_S.device)
    sums = sums.index_add(0, packed.term_S, -out.log_prob_S)
    return LossTerms(dict(zip(packed.terms, sums, strict=True)), batch.counts)
