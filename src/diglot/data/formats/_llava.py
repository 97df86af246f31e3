"""What LLaVA's JSON, LLaVA-NeXT's Parquet and Cambrian's JSONL share: `conversations`.

A record is {id, image (a path, a list of paths, or absent), conversations: [{from: human | gpt |
system, value}]}, with `<image>` in a value where an image stands.
"""

from collections import Counter
from pathlib import Path
from typing import Any

from diglot.core.conversation import IMAGE_PLACEHOLDER, Role, Turn
from diglot.core.errors import DataError
from diglot.core.types import Sample
from diglot.data.image_files import ImageWriter
from diglot.data.raw_record import RawRecord

ROLES: dict[str, Role] = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
}
ROLES |= {"system": "system"}
SIDES = {"user": "human", "assistant": "gpt", "system": "system"}


def read_conversation(
    record: dict[str, Any], images: tuple[bytes | Path, ...], id: str, *, captions: bool
) -> RawRecord:
    """The record as a conversation, or with `captions` as an image and its caption.

    Raises DataError for an unknown side, or a caption that is not one question's answer.
    """
    turns = tuple(_read_turn(turn) for turn in record["conversations"])
    if not captions:
        return RawRecord(id=id, images=images, turns=turns)
    if [turn.role for turn in turns] != ["user", "assistant"] or len(images) != 1:
        raise DataError("not a caption", expected="one image, one question and its answer")
    return RawRecord(id=id, images=images, caption=turns[1].text.strip())


def _read_turn(turn: dict[str, Any]) -> Turn:
    """Every answer is learned."""
    if turn["from"] not in ROLES:
        raise DataError(
            "unknown side of a conversation", expected=", ".join(ROLES), got=turn["from"]
        )
    role = ROLES[turn["from"]]
    return Turn(role=role, text=turn["value"], learn=role == "assistant")


def image_names(record: dict[str, Any]) -> list[Any]:
    """The paths of a record's images, in order; none for text alone."""
    image = record.get("image")
    if image is None:
        return []
    return image if isinstance(image, list) else [image]


def record_id(record: dict[str, Any], number: int, *, number_ids: bool) -> str:
    """Its id; made unique by its number where asked, or where it has none."""
    id = record.get("id")
    if id is None:
        return f"row-{number}"
    return f"{id}@{number}" if number_ids else str(id)


def conversation_json(sample: Sample, images: ImageWriter, lost: Counter[str]) -> dict[str, Any]:
    """The record of a sample, its pictures written; a caption becomes the answer to `<image>`."""
    record: dict[str, Any] = {"id": sample.id}
    names = images.write_all(sample)
    if names:
        record["image"] = names[0] if len(names) == 1 else names
    return record | {"conversations": turns_json(sample, lost)}


def turns_json(sample: Sample, lost: Counter[str]) -> list[dict[str, str]]:
    """The turns as LLaVA gives them."""
    turns = sample.turns
    if not turns:
        sides = (("human", IMAGE_PLACEHOLDER), ("gpt", sample.caption))
        return [{"from": side, "value": text} for side, text in sides]
    lost["turns that are not learned"] += sum(t.role == "assistant" and not t.learn for t in turns)
    return [{"from": SIDES[turn.role], "value": turn.text} for turn in turns]
