"""Turns of a conversation, and where its images stand in their text.

An image stands in a turn's text as the literal `<image>`: the n-th of them, over all turns in
order, is the sample's n-th image.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from diglot.core.errors import DataError, check_type

Role = Literal["system", "user", "assistant"]
ROLES: tuple[str, ...] = get_args(Role)

IMAGE_PLACEHOLDER = "<image>"


@dataclass(frozen=True, kw_only=True)
class Turn:
    """What one side says. Raises DataError for an unknown role, or an image in a learned turn."""

    role: Role
    text: str
    """With `<image>` where an image stands."""
    learn: bool = False
    """Is this turn's text learned? Only an assistant's may be."""

    def __post_init__(self) -> None:
        check_type(self.text, str, "a string", where="text")
        check_type(self.learn, bool, "true or false", where="learn")
        if self.role not in ROLES:
            raise DataError(
                "unknown role", expected=f"one of: {', '.join(ROLES)}", got=self.role, where="role"
            )
        if self.learn and self.role != "assistant":
            raise DataError("only an assistant's turn can be learned", got=self.role, where="learn")
        if self.learn and IMAGE_PLACEHOLDER in self.text:
            raise DataError("an image cannot be learned", got=repr(self.text), where="text")


def check_turns(turns: Sequence[Turn], images: int, *, where: str) -> None:
    """Raises DataError for roles out of order, placeholders without images, nothing to learn."""
    for number, turn in enumerate(turns):
        check_type(turn, Turn, "a Turn", where=f"{where}, turns[{number}]")
    spoken = turns[1:] if turns and turns[0].role == "system" else turns
    for number, turn in enumerate(spoken):
        expected = ("user", "assistant")[number % 2]
        if turn.role != expected:
            index = number + len(turns) - len(spoken)
            raise DataError(
                "turns are out of order",
                expected=f"{expected} (system first if any, then user and assistant by turns)",
                got=turn.role,
                where=f"{where}, turns[{index}].role",
            )
    found = sum(turn.text.count(IMAGE_PLACEHOLDER) for turn in turns)
    if found != images:
        raise DataError(
            "turns and images do not belong together",
            expected=f"{images} times {IMAGE_PLACEHOLDER} in the turns, once per image",
            got=found,
            where=f"{where}, turns",
        )
    if not any(turn.learn and turn.text.strip() for turn in turns):
        raise DataError(
            "nothing to learn",
            expected="an assistant's turn with text and learn=True",
            where=f"{where}, turns",
        )


@dataclass(frozen=True)
class Piece:
    """A part of a turn: text, or one image."""

    turn: int
    start: int
    """Where it begins in the turn's text, in characters."""
    text: str
    """Empty for an image."""
    image: int | None = None
    """Index among the sample's images."""


def split_turns(turns: Sequence[Turn]) -> Iterator[Piece]:
    """The turns' texts and images in reading order; empty texts are left out."""
    images = 0
    for number, turn in enumerate(turns):
        start = 0
        for part, text in enumerate(turn.text.split(IMAGE_PLACEHOLDER)):
            if part:
                yield Piece(number, start - len(IMAGE_PLACEHOLDER), "", images)
                images += 1
            if text:
                yield Piece(number, start, text)
            start += len(text) + len(IMAGE_PLACEHOLDER)
