"""An item as a model reads it: a question through the chat template, or the caption's frame."""

from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedTokenizerFast

from diglot.core.errors import DataError
from diglot.core.segments import Image, Segment, Tokens
from diglot.models.chat_template import special_texts
from diglot.models.config import Frame
from diglot.models.export.chat_template import image_template
from diglot.models.export.container import IMAGE_TOKEN
from diglot.models.prompt import opening, tokenize
from diglot.models.words import label_ids


@dataclass(frozen=True)
class Prompt:
    """What stands before an answer: the same for all questions on a picture, then the question."""

    before: tuple[Segment, ...]  # up to and with the image; empty for a question without one
    question: tuple[int, ...]
    spaced: bool  # an answer begins with a space, as behind "ASSISTANT:"

    @property
    def segments(self) -> tuple[Segment, ...]:
        """All of it in order."""
        return (*self.before, Tokens(self.question))


def question_prompt(
    question: str, tokenizer: PreTrainedTokenizerFast, *, image: bool, frame: Frame | None = None
) -> Prompt:
    """A user's turn by the chat template; with a `frame` the question is the beginning of a text.

    Under a frame the text stands as a caption does in pretraining, for a model that has not learned
    to answer. Raises DataError for a question that spells a special token.
    """
    if spelt := next((t for t in special_texts(tokenizer) | {IMAGE_TOKEN} if t in question), None):
        raise DataError("the question spells a special token", got=repr(spelt))
    if frame is not None:
        return _framed(question, tokenizer, image=image, frame=frame)
    made: Any = tokenizer
    parts = [{"type": "image"}] if image else []
    text: str = made.apply_chat_template(
        [{"role": "user", "content": [*parts, {"type": "text", "text": question}]}],
        chat_template=image_template(made.chat_template),
        add_generation_prompt=True,
        tokenize=False,
    )
    before, _, after = text.rpartition(IMAGE_TOKEN)
    head = (Tokens(_special_ids(before, made)), Image()) if image else ()
    ids = _special_ids(after if image else text, made)
    return Prompt(head, ids, spaced=text[-1:].isalnum() or text[-1:] in ":.?!,;")


def caption_prompt(tokenizer: PreTrainedTokenizerFast, frame: Frame) -> Prompt:
    """The picture framed as in pretraining: a caption follows."""
    return _framed("", tokenizer, image=True, frame=frame)


def answer_ids(answer: str, prompt: Prompt, tokenizer: PreTrainedTokenizerFast) -> tuple[int, ...]:
    """The tokens of a candidate behind a prompt. Raises DataError for one of blanks."""
    ids = label_ids(answer, tokenizer, leading_space=prompt.spaced)
    if not ids:
        raise DataError("a candidate has no tokens", got=repr(answer))
    return ids


def _framed(text: str, tokenizer: PreTrainedTokenizerFast, *, image: bool, frame: Frame) -> Prompt:
    segments = opening(frame, tokenizer, image=image)
    last = segments[-1]
    assert isinstance(last, Tokens)
    question = last.ids + tokenize(text, tokenizer).ids
    return Prompt(tuple(segments[:-1]), question, spaced=bool(text))


def _special_ids(text: str, tokenizer: Any) -> tuple[int, ...]:
    """Token ids of rendered text, whose special tokens are meant."""
    return tuple(tokenizer(text, add_special_tokens=False)["input_ids"])
