"""What can be wrong with a record, and how severe it is."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["record", "region", "note"]
"""The record is unusable; a part of it has to go; it is usable, but worth knowing."""

# Every kind of fault, in the order of the table.
LEVELS: dict[str, Level] = {
    "id is missing": "record",
    "repeated id": "record",
    "image is missing": "record",
    "image is no picture": "record",
    "image cannot be read": "record",
    "image is truncated": "record",
    "image is too large to decode": "record",
    "size is not the image's": "record",
    "caption is missing": "record",
    "turn without its role or text": "record",
    "unknown role": "record",
    "turns are out of order": "record",
    "placeholder without an image": "record",
    "image without a placeholder": "record",
    "image in a learned turn": "record",
    "nothing to learn": "record",
    "phrase is empty": "region",
    "region of an image that is not there": "region",
    "box is missing": "region",
    "box is not finite": "region",
    "box is empty": "region",
    "box looks normalised": "region",
    "box looks like xywh": "region",
    "box is outside the image": "region",
    "span does not spell its phrase": "region",
    "mask of another size": "region",
    "mask is corrupt": "region",
    "score is not in [0, 1]": "region",
    "record cannot be used": "record",
    "caption is longer than the model reads": "note",
    "caption without an entity": "note",
    "object covers no visual token": "note",
    "near duplicate of another image": "note",
}


@dataclass(frozen=True)
class Fault:
    """One fault of a record."""

    kind: str
    where: str = ""
    """The field: "regions[2].box"."""
    detail: str = ""

    @property
    def level(self) -> Level:
        """How severe it is for the record."""
        return LEVELS[self.kind]
