"""Text around an image as the LLM reads it: tokenising, and the frame of image and caption."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerFast

from diglot.core.conversation import IMAGE_PLACEHOLDER
from diglot.core.errors import DataError
from diglot.core.segments import Image, Segment, Tokens
from diglot.core.types import Sample
from diglot.models.config import Frame

IMAGE_TEXT = "diglot_image_text"


@dataclass(frozen=True, kw_only=True)
class ImageText:
    """An image in a text, as a stock checkpoint's chat template and processor write it."""

    written: str = IMAGE_PLACEHOLDER
    """What the chat template writes for an image."""
    before: str = ""
    """Plain text that the processor puts before the image; its tokens may merge with others."""
    after: str = ""
    """Plain text that it puts behind the image."""
    alone: bool = False
    """Whether the processor prepares an image otherwise where a record has several."""
    starts_document: bool = False
    """Whether one image opens every document, its BOS a mark behind it (PaliGemma)."""


def set_image_text(tokenizer: PreTrainedTokenizerFast, image_text: ImageText) -> None:
    """Let the tokenizer carry how its checkpoint writes images."""
    setattr(tokenizer, IMAGE_TEXT, image_text)


def read_image_text(tokenizer: PreTrainedTokenizerFast) -> ImageText:
    """How the tokenizer's checkpoint writes images; the placeholder alone where none is known."""
    return getattr(tokenizer, IMAGE_TEXT, ImageText())


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
    image_text = read_image_text(tokenizer)
    if image_text.starts_document:
        start = ()
    texts = frame.before + image_text.before, image_text.after + frame.after
    before, after = (tokenize_caption(text, tokenizer).ids for text in texts)
    return [Tokens(start + before), Image(), Tokens(after)]


def end_segments(
    frame: Frame, tokenizer: PreTrainedTokenizerFast, learn: str | None
) -> list[Segment]:
    """The EOS, if the frame has one."""
    eos: Any = tokenizer.eos_token_id
    return [Tokens((int(eos),), learn)] if frame.eos and eos is not None else []
