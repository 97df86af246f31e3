"""An item as a model reads it: a question through the chat template, or the caption's frame."""

from dataclasses import dataclass

from transformers import PreTrainedTokenizerFast

from diglot.core.conversation import Turn
from diglot.core.errors import DataError
from diglot.core.segments import Image, Segment, Tokens
from diglot.models.chat_template import render_prompt, special_texts, tokenize_rendered
from diglot.models.config import Frame
from diglot.models.export.container import IMAGE_TOKEN
from diglot.models.prompt import open_segments, tokenize_caption


@dataclass(frozen=True)
class AnswerPrompt:
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
) -> AnswerPrompt:
    """A user's turn by the chat template; with a `frame` the question is the beginning of a text.

    Under a frame the text stands as a caption does in pretraining, for a model that has not learned
    to answer. Raises DataError for a question that spells a special token.
    """
    if spelt := next((t for t in special_texts(tokenizer) | {IMAGE_TOKEN} if t in question), None):
        raise DataError("the question spells a special token", got=repr(spelt))
    if frame is not None:
        return _frame_prompt(question, tokenizer, image=image, frame=frame)
    turn = Turn(role="user", text=f"{IMAGE_TOKEN}\n" * image + question)
    text = render_prompt([turn], tokenizer)
    ids = tokenize_rendered(text, tokenizer)[0].tolist()
    at = ids.index(-1) if image else -1
    head = (Tokens(tuple(ids[:at])), Image()) if image else ()
    return AnswerPrompt(
        head, tuple(ids[at + 1 :]), spaced=text[-1:].isalnum() or text[-1:] in ":.?!,;"
    )


def caption_prompt(tokenizer: PreTrainedTokenizerFast, frame: Frame) -> AnswerPrompt:
    """The picture framed as in pretraining: a caption follows."""
    return _frame_prompt("", tokenizer, image=True, frame=frame)


def answer_ids(
    answer: str, prompt: AnswerPrompt, tokenizer: PreTrainedTokenizerFast
) -> tuple[int, ...]:
    """The tokens of a candidate behind a prompt, with the blank before it where one stands there.

    Raises DataError for one of blanks.
    """
    if not answer.strip():
        raise DataError("a candidate has no tokens", got=repr(answer))
    if not prompt.spaced:
        return tokenize_caption(answer.strip(), tokenizer).ids
    # behind another word, as a whole text is tokenised; that word's own tokens end at 1
    whole = tokenize_caption(f"a {answer.strip()}", tokenizer)
    return tuple(i for i, end in zip(whole.ids, whole.offsets_T2[:, 1], strict=True) if end > 1)


def _frame_prompt(
    text: str, tokenizer: PreTrainedTokenizerFast, *, image: bool, frame: Frame
) -> AnswerPrompt:
    segments = open_segments(frame, tokenizer, image=image)
    last = segments[-1]
    assert isinstance(last, Tokens)
    question = last.ids + tokenize_caption(text, tokenizer).ids
    return AnswerPrompt(tuple(segments[:-1]), question, spaced=bool(text))
