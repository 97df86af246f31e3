"""Faults of a record's caption, or of its conversation."""

from collections.abc import Iterator
from typing import Any

from diglot.core.conversation import IMAGE_PLACEHOLDER, ROLES
from diglot.data.checks.fault import Fault


def check_text(row: dict[str, Any]) -> list[Fault]:
    """The faults of the turns, or of the caption where there are none."""
    turns = row.get("turns") or []
    if turns:
        return list(_check_turns(turns, len(row.get("images") or ())))
    if row.get("caption") is None:
        return [Fault("caption is missing", "caption")]
    spans = [region for region in row.get("regions") or () if (region or {}).get("span")]
    return [] if spans else [Fault("caption without an entity", "caption")]


def _check_turns(turns: list[Any], images: int) -> Iterator[Fault]:
    whole = [
        (n, t) for n, t in enumerate(turns) if t and t.get("role") and t.get("text") is not None
    ]
    if len(whole) < len(turns):
        yield Fault("turn without its role or text", "turns")
    for number, turn in whole:
        if turn["role"] not in ROLES:
            yield Fault("unknown role", f"turns[{number}].role", turn["role"])
        if turn.get("learn") and IMAGE_PLACEHOLDER in turn["text"]:
            yield Fault("image in a learned turn", f"turns[{number}].text")
    yield from _check_order([turn["role"] for _, turn in whole])
    found = sum(turn["text"].count(IMAGE_PLACEHOLDER) for _, turn in whole)
    detail = f"{found} placeholders, {images} images"
    if found > images:
        yield Fault("placeholder without an image", "turns", detail)
    if found < images:
        yield Fault("image without a placeholder", "turns", detail)
    if not any(turn.get("learn") and turn["text"].strip() for _, turn in whole):
        yield Fault("nothing to learn", "turns")


def _check_order(roles: list[str]) -> Iterator[Fault]:
    """A system turn first if any, then user and assistant by turns."""
    first = 1 if roles[:1] == ["system"] else 0
    for number, role in enumerate(roles[first:]):
        if role != ("user", "assistant")[number % 2]:
            yield Fault("turns are out of order", f"turns[{number + first}].role", role)
            return
