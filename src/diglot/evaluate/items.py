"""One question of an evaluation with its truth, as a line of JSON holds it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from diglot.core.errors import DataError


@dataclass(frozen=True, kw_only=True)
class Item:
    """A question about a picture, or without one. Raises DataError for a truth that is none."""

    id: str
    """Unique among all items of an evaluation."""
    task: str
    """Key of its task."""
    question: str | None
    """What is asked; None asks for a caption, framed as in pretraining."""
    answer: str = ""
    """What is right, as a model would write it."""
    image: str | None = None
    """File name of its picture."""
    scene: str = ""
    """What it belongs to, as the bootstrap draws it: its picture's sample."""
    group: str = ""
    """Items of one group get a figure of their own, beside all."""
    candidates: tuple[str, ...] = ()
    """Answers to choose from by likelihood; none for a question that is only answered in writing"""
    right: tuple[bool, ...] = ()
    """Of each candidate."""
    plain: bool = False
    """Asked as plain text, as it stands, whatever way questions are asked."""
    truth: Mapping[str, Any] = field(default_factory=dict)
    """Further truth that its task scores with (plain JSON): a box, references."""

    def __post_init__(self) -> None:
        if len(self.candidates) != len(self.right) or (self.right and not any(self.right)):
            raise DataError(
                "candidates and truth do not belong together",
                expected="true or false for each candidate, true at least once",
                got=f"{len(self.candidates)} candidates, right: {list(self.right)}",
                where=f"item {self.id!r}, right",
            )

    def to_json(self) -> dict[str, Any]:
        """The item as a dict for JSON."""
        return asdict(self)

    @property
    def digest(self) -> str:
        """Of all that it asks and holds for right, as 16 hex digits."""
        text = json.dumps(self.to_json(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def read_item(fields: Any, *, where: str) -> Item:
    """An item of parsed JSON. Raises DataError where it is none."""
    try:
        lists = {name: tuple(fields.get(name, ())) for name in ("candidates", "right")}
        return Item(**{**fields, **lists})
    except (TypeError, AttributeError) as error:
        raise DataError(f"not an item: {error}", where=where) from error
