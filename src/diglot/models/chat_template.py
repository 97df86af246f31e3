"""A conversation as the LLM reads it: the chat template rendered, and what of it is learned.

Templates mark an assistant's words in few cases only (`{% generation %}`), so the learned spans are
found by rendering: once with a unique sentinel in the place of each answer, once with the answers
themselves. What stands between the sentinels must stand between the answers too, letter by letter;
then an answer's span is known exactly, also where it repeats the question. Where the two differ (a
template that drops or rewrites earlier answers) the record is refused: never learned inexactly.

What is trained is what is served: turns are rendered as an exported folder's processor renders them
(`models.export.chat_template`), and learning begins where that processor's prompt for an answer
ends, so that a template's own words there (an empty block of thoughts) are learned too.
"""

import copy
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from jinja2.exceptions import TemplateError
from transformers import PreTrainedTokenizerFast

from diglot.core.conversation import IMAGE_PLACEHOLDER, Turn
from diglot.core.errors import ConfigError, DataError
from diglot.core.region import Span
from diglot.models.export.chat_template import PALIGEMMA, image_template
from diglot.models.prompt import read_image_text

# Letters and digits alone: nothing that a template strips, escapes or splits.
_SENTINEL = "Zq7Answer{}Qz7"


@dataclass(frozen=True)
class RenderedChat:
    """A conversation's text with the places of its turns."""

    text: str
    answers: tuple[Span | None, ...]
    """Of each turn: the characters of an assistant's text, None for the other roles."""
    starts: tuple[int | None, ...]
    """Of each assistant's turn: where the prompt ends that it is served with."""
    ends: tuple[int | None, ...]
    """Of each assistant's turn: where the stop token behind its text ends."""
    served: bool
    """Whether every answer's prompt, as it is served, is what stands before it here."""


def render_chat(
    turns: Sequence[Turn], tokenizer: PreTrainedTokenizerFast, template: str | None = None
) -> RenderedChat:
    """The text of a conversation under `template` (a Jinja text), or the tokenizer's own.

    A model without a template is served with that of `image_template`. Raises DataError where the
    template refuses the turns or an answer cannot be found exactly in what it renders.
    """
    template = _choose_template(template, tokenizer)
    spoken = [i for i, turn in enumerate(turns) if turn.role == "assistant"]
    marks = {i: _make_sentinel(number, turns) for number, i in enumerate(spoken)}
    skeleton = _apply_template(turns, tokenizer, template, marks)
    literals = re.split("|".join(marks.values()), skeleton) if marks else [skeleton]
    order = re.findall("|".join(marks.values()), skeleton) if marks else []
    if order != list(marks.values()):
        raise DataError(
            "the chat template does not show every answer once, in order",
            expected=f"{len(marks)} answers",
            got=f"{len(order)} in what it renders",
            fix="Choose another template (objective.template).",
        )
    text = _apply_template(turns, tokenizer, template, {})
    answers, ends = _find_answers(turns, spoken, text, literals, tokenizer)
    prompts = {i: _render_prompt(turns[:i], tokenizer, template) for i in spoken}
    served = {i: bool(prompt) and text.startswith(prompt) for i, prompt in prompts.items()}
    # a template that knows no prompt leaves the answer's opening to whoever serves it
    asks = "add_generation_prompt" in template
    starts = [
        min(len(prompts[i]), span[0]) if span and asks and served[i] else span and span[0]
        for i, span in enumerate(answers)
    ]
    return RenderedChat(text, tuple(answers), tuple(starts), tuple(ends), all(served.values()))


def _choose_template(template: str | None, tokenizer: PreTrainedTokenizerFast) -> str:
    """The template with images. Raises ConfigError for one that the processor would add to."""
    image_text = read_image_text(tokenizer)
    if not image_text.starts_document:
        own: Any = tokenizer.chat_template
        return image_template(template or own, image_text.written)
    if template is not None:
        raise ConfigError(
            "PaliGemma's processor writes a prompt by itself, and would add to a template's text",
            where="objective.template",
            fix="Leave it out: a question and its answer are written as that processor does.",
        )
    return PALIGEMMA


def _make_sentinel(number: int, turns: Sequence[Turn]) -> str:
    mark = _SENTINEL.format(number)
    while any(mark in turn.text for turn in turns):
        mark = f"Z{mark}"
    return mark


def _apply_template(
    turns: Sequence[Turn],
    tokenizer: PreTrainedTokenizerFast,
    template: str,
    instead: dict[int, str],
    *,
    prompt: bool = False,
) -> str:
    messages = [
        {"role": turn.role, "content": write_parts(instead.get(i, turn.text))}
        for i, turn in enumerate(turns)
    ]
    try:
        made: Any = tokenizer.apply_chat_template(
            messages, chat_template=template, tokenize=False, add_generation_prompt=prompt
        )
    except TemplateError as error:
        raise DataError(f"the chat template refuses the turns: {error}") from error
    image_text = read_image_text(tokenizer)
    around = image_text.before + IMAGE_PLACEHOLDER + image_text.after
    return made.replace(image_text.written, around)


def write_parts(text: str) -> list[dict[str, str]]:
    """A turn's text as a message's parts. A newline behind an image is the template's to write."""
    first, *others = text.split(IMAGE_PLACEHOLDER)
    parts = [{"type": "text", "text": first}] if first else []
    for other in others:
        parts.append({"type": "image"})
        if rest := other.removeprefix("\n"):
            parts.append({"type": "text", "text": rest})
    return parts or [{"type": "text", "text": ""}]


def _render_prompt(turns: Sequence[Turn], tokenizer: PreTrainedTokenizerFast, template: str) -> str:
    """What stands before the answer to the last of `turns` when it is asked for."""
    try:
        return _apply_template(turns, tokenizer, template, {}, prompt=True)
    except DataError:
        return ""


def _find_answers(
    turns: Sequence[Turn],
    spoken: Sequence[int],
    text: str,
    literals: Sequence[str],
    tokenizer: PreTrainedTokenizerFast,
) -> tuple[list[Span | None], list[int | None]]:
    """Walk the text literal by literal; every answer must stand between its two, whole."""
    answers: list[Span | None] = [None] * len(turns)
    ends: list[int | None] = [None] * len(turns)
    at = _skip_literal(text, 0, literals[0])
    for i, literal in zip(spoken, literals[1:], strict=True):
        stop = _skip_answer(text, at, turns[i].text, literal)
        answers[i] = (at, stop)
        ends[i] = stop + _stop_length(literal, tokenizer)
        at = stop + len(literal)
    if at != len(text):
        raise _inexact_error(text, at)
    return answers, ends


def _skip_literal(text: str, at: int, literal: str) -> int:
    if not text.startswith(literal, at):
        raise _inexact_error(text, at)
    return at + len(literal)


def _skip_answer(text: str, at: int, answer: str, literal: str) -> int:
    """Where an answer ends: as it is, or stripped as most templates do."""
    for shown in dict.fromkeys((answer, answer.rstrip(), answer.lstrip(), answer.strip())):
        if text.startswith(shown + literal, at):
            return at + len(shown)
    raise _inexact_error(text, at)


def _inexact_error(text: str, at: int) -> DataError:
    return DataError(
        "an answer cannot be found exactly in what the chat template renders",
        expected="the same text around each answer, whatever the answer",
        got=repr(text[at : at + 60]),
        fix="The template rewrites answers; choose another one (objective.template).",
    )


def _stop_length(literal: str, tokenizer: PreTrainedTokenizerFast) -> int:
    """Characters from an answer's end to the end of the stop token behind it."""
    found = re.match(rf"\s*(?:{_special_pattern(tokenizer)})", literal)
    if not found:
        raise DataError(
            "no stop token stands behind an answer",
            expected="one of the tokenizer's special tokens",
            got=repr(literal[:40]),
            fix="Choose a template that ends an assistant's turn (objective.template).",
        )
    return found.end()


def _special_pattern(tokenizer: PreTrainedTokenizerFast) -> str:
    return "|".join(map(re.escape, sorted(special_texts(tokenizer), key=len, reverse=True)))


def special_texts(tokenizer: PreTrainedTokenizerFast) -> set[str]:
    """The texts that the tokenizer reads as tokens with a meaning of their own."""
    added = {str(t) for t in tokenizer.added_tokens_decoder.values() if t.special}
    return (added | set(map(str, tokenizer.all_special_tokens))) - {IMAGE_PLACEHOLDER}


def check_plain(turns: Sequence[Turn], tokenizer: PreTrainedTokenizerFast) -> None:
    """Raises DataError where a turn's text spells a special token: it would act as one."""
    for number, turn in enumerate(turns):
        if spelt := next((t for t in special_texts(tokenizer) if t in turn.text), None):
            raise DataError(
                "a turn spells a special token of the language model",
                got=repr(spelt),
                where=f"turns[{number}].text",
            )


@lru_cache(maxsize=4)
def _with_image_token(tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    """The tokenizer that a stock container carries: with `<image>` as one special token."""
    own = copy.deepcopy(tokenizer)
    own.add_special_tokens({"additional_special_tokens": [IMAGE_PLACEHOLDER]})
    return own


@lru_cache(maxsize=4)
def _opening_ids(tokenizer: PreTrainedTokenizerFast) -> tuple[int, ...]:
    """What the tokenizer puts before every text (Llama's BOS)."""
    plain, whole = (tokenizer("a", add_special_tokens=add)["input_ids"] for add in (False, True))
    start = next(i for i in range(len(whole)) if whole[i : i + len(plain)] == plain)
    return tuple(whole[:start])


def render_prompt(
    turns: Sequence[Turn], tokenizer: PreTrainedTokenizerFast, template: str | None = None
) -> str:
    """A conversation up to the answer that is asked for. Raises DataError as `render_chat` does."""
    own = _choose_template(template, tokenizer)
    return _apply_template(turns, tokenizer, own, {}, prompt=True)


def tokenize_rendered(
    text: str, tokenizer: PreTrainedTokenizerFast
) -> tuple[np.ndarray, np.ndarray]:
    """Ids (T,) of a rendered conversation, -1 at an image, and [start, end) characters (T, 2).

    As a stock processor does: the tokenizer's BOS comes before a text that does not spell it.
    """
    known = _with_image_token(tokenizer)
    out = known(text, add_special_tokens=False, return_offsets_mapping=True)
    bos: Any = tokenizer.bos_token
    spelt = (bos and text.startswith(bos)) or read_image_text(tokenizer).starts_document
    opening = () if spelt else _opening_ids(tokenizer)
    ids_T = np.array([*opening, *out["input_ids"]], np.int64)
    offsets_T2 = np.array([(0, 0)] * len(opening) + out["offset_mapping"], np.int64).reshape(-1, 2)
    image_id: Any = known.convert_tokens_to_ids(IMAGE_PLACEHOLDER)
    return np.where(ids_T == image_id, -1, ids_T), offsets_T2


def tokenize_prompt(
    turns: Sequence[Turn], tokenizer: PreTrainedTokenizerFast, template: str | None = None
) -> np.ndarray:
    """Ids (T,) of a conversation up to the answer that is asked for, -1 at an image.

    Raises DataError where the template refuses the turns, or they spell a special token.
    """
    check_plain(turns, tokenizer)
    text = render_prompt(turns, tokenizer, template)
    ids_T = tokenize_rendered(text, tokenizer)[0]
    _check_images(turns, ids_T, tokenizer)
    return ids_T


def _check_images(
    turns: Sequence[Turn], ids_T: np.ndarray, tokenizer: PreTrainedTokenizerFast
) -> None:
    if (ids_T < 0).sum() > 1 and read_image_text(tokenizer).alone:
        raise DataError(
            "this checkpoint's processor shows several images in one view each, which is not "
            "known here",
            expected="one image, which it cuts into tiles",
            got=int((ids_T < 0).sum()),
        )
    expected = sum(turn.text.count(IMAGE_PLACEHOLDER) for turn in turns)
    if (found := int((ids_T < 0).sum())) != expected:
        raise DataError(
            "the chat template writes images otherwise than is known here",
            expected=f"{IMAGE_PLACEHOLDER} for each of {expected}",
            got=found,
            fix="Choose another template (objective.template).",
        )


@dataclass(frozen=True)
class TokenizedChat:
    """A conversation's tokens; an image is one token here, whatever its grid."""

    ids_T: np.ndarray
    """int64; -1 where an image stands."""
    learned_T: np.ndarray
    """bool: is the token learned?"""
    turn_T: np.ndarray
    """int64: the turn each token belongs to: the first assistant's turn that ends behind it, with
    what stands before it; the last turn's number behind all of them."""
    offsets_T2: np.ndarray
    """[start, end) characters of each token in the rendered text."""
    text: str
    """The rendered text."""
    answers: tuple[Span | None, ...]
    """Of each turn: the characters of an assistant's text in the rendered text; else None."""
    served: bool
    """Whether every answer's prompt, as it is served, is what stands before it here."""

    def locate_span(self, turns: Sequence[Turn], number: int, span: Span) -> Span | None:
        """Where characters of turn `number` stand in the rendered text; None where they do not.

        Only an assistant's turn is found, and a template may strip its ends.
        """
        shown = self.answers[number]
        if shown is None:
            return None
        ahead = turns[number].text.index(self.text[slice(*shown)])  # blanks that were stripped
        start, end = (shown[0] + at - ahead for at in span)
        return (start, end) if shown[0] <= start and end <= shown[1] else None


def tokenize_chat(
    turns: Sequence[Turn], tokenizer: PreTrainedTokenizerFast, template: str | None = None
) -> TokenizedChat:
    """A conversation as a stock container's processor would tokenise it, and what is learned.

    Learned are the tokens of each learned turn from the end of the prompt that it is served with to
    the stop token behind its text; a token that straddles the beginning belongs to it. Raises as
    `render_chat` and `check_plain` do.
    """
    check_plain(turns, tokenizer)
    chat = render_chat(turns, tokenizer, template)
    ids_T, offsets_T2 = tokenize_rendered(chat.text, tokenizer)
    _check_images(turns, ids_T, tokenizer)
    learned_T = np.zeros(len(ids_T), bool)
    turn_T = np.full(len(ids_T), len(turns) - 1, np.int64)
    for number in reversed(range(len(turns))):
        start, end = chat.starts[number], chat.ends[number]
        if start is None or end is None:
            continue
        turn_T[offsets_T2[:, 0] < end] = number
        if turns[number].learn:
            learned_T |= (offsets_T2[:, 1] > start) & (offsets_T2[:, 0] < end)
    return TokenizedChat(ids_T, learned_T, turn_T, offsets_T2, chat.text, chat.answers, chat.served)
