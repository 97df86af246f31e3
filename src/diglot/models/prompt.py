"""Text around an image as the LLM reads it: tokenising, and the frame of image and caption."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerFast

from diglot.core.errors import DataError
from diglot.core.segments import Image, Segment, Tokens
from diglot.core.types import Sample
from diglot.models.config import Frame

STARTS_WITH_IMAGE = "diglot_starts_with_image"
"""Attribute of a tokenizer whose BOS stands behind the image, as a mark of it (PaliGemma)."""


@dataclass(frozen=True)
class Caption:
    """A caption tokenised once."""

    ids: tuple[int, ...]
    offsets_T2: np.ndarray  # [start, end) characters of each token


def tokenize_caption(text: str, tokenizer: PreTrainedTokenizerFast) -> Caption:
    """Token ids and character offsets of a text, without special tokens.

    Text that spells a special token ("<|im_end|>") stays text: captions are not to be trusted.
    """
    out = tokenizer(
        text, add_special_tokens=False, return_offsets_mapping=True, split_special_tokens=True
    )
    return Caption(tuple(out["input_ids"]), np.array(out["offset_mapping"]).reshape(-1, 2))


def caption_of(sample: Sample, tokenizer: PreTrainedTokenizerFast) -> Caption:
    """The sample's caption. Raises DataError where it has none, or no words to learn."""
    if sample.is_conversation:
        raise DataError(
            "the objective takes captioned images, not conversations",
            expected="a record with a caption",
            got="turns",
            where=f"sample {sample.id!r}, turns",
        )
    caption = tokenize_caption(sample.caption, tokenizer)
    if not caption.ids:
        raise DataError(
            "nothing to learn: the caption is empty", where=f"sample {sample.id!r}, caption"
        )
    return caption


def begin_tokens(frame: Frame, tokenizer: PreTrainedTokenizerFast) -> tuple[int, ...]:
    """The BOS, if the frame has one.

    A tokenizer without a BOS starts with its EOS, so that something stands before the first word.
    """
    bos: Any = tokenizer.bos_token_id  # an int or None; its own annotation is wider
    bos = tokenizer.eos_token_id if bos is None else bos
    return (int(bos),) if frame.bos and bos is not None else ()


def open_segments(
    frame: Frame, tokenizer: PreTrainedTokenizerFast, *, image: bool
) -> list[Segment]:
    """[BOS] before V after; without the image only the BOS."""
    start = begin_tokens(frame, tokenizer)
    if not image:
        return [Tokens(start)]
    if getattr(tokenizer, STARTS_WITH_IMAGE, False):
        start = ()
    before, after = (tokenize_caption(text, tokenizer).ids for text in (frame.before, frame.after))
    return [Tokens(start + before), Image(), Tokens(after)]


def end_segments(
    frame: Frame, tokenizer: PreTrainedTokenizerFast, learn: str | None
) -> list[Segment]:
    """The EOS, if the frame has one."""
    eos: Any = tokenizer.eos_token_id
    return [Tokens((int(eos),), learn)] if frame.eos and eos is not None else []
