"""Typed reading of JSON, with errors that name the field."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from diglot.core.errors import DataError

Box = tuple[float, float, float, float]

_DATA_URI = re.compile(r"data:image/(png|jpeg|webp);base64,[A-Za-z0-9+/]+={0,2}")


@dataclass(frozen=True)
class Field:
    """One value of a JSON document and its path there ("measures[0].title")."""

    value: Any
    where: str

    def wrong(self, expected: str) -> DataError:
        """The error for a value that is not `expected`; long values are shortened."""
        shown = repr(self.value)
        shown = shown if len(shown) <= 80 else f"{shown[:77]}..."
        return DataError("field cannot be used", expected=expected, got=shown, where=self.where)

    def mapping(self) -> dict[str, "Field"]:
        """Its members by name, in the document's order. Raises DataError if it is no object."""
        if not isinstance(self.value, Mapping) or not all(isinstance(k, str) for k in self.value):
            raise self.wrong("an object")
        return {key: Field(value, f"{self.where}.{key}") for key, value in self.value.items()}

    def at(self, name: str) -> "Field":
        """Member `name`. Raises DataError where it is missing."""
        members = self.mapping()
        if name not in members:
            raise DataError(
                f"field {name!r} is missing", got="only " + ", ".join(members), where=self.where
            )
        return members[name]

    def find(self, name: str) -> "Field | None":
        """Member `name`, or None where it is missing or null."""
        member = self.mapping().get(name)
        return None if member is None or member.value is None else member

    def items(self, *, length: int | None = None) -> list["Field"]:
        """Its elements. Raises DataError if it is no array, or not of `length`."""
        if not isinstance(self.value, list | tuple):
            raise self.wrong("an array")
        if length is not None and len(self.value) != length:
            raise self.wrong(f"{length} elements, not {len(self.value)}")
        return [Field(value, f"{self.where}[{i}]") for i, value in enumerate(self.value)]

    def by_run(self, runs: tuple[str, ...]) -> dict[str, "Field"]:
        """Its members in the order of `runs`. Raises DataError where one is no run."""
        members = self.mapping()
        unknown = [name for name in members if name not in runs]
        if unknown:
            raise DataError(
                f"no run is called {unknown[0]!r}",
                expected="one of " + ", ".join(runs),
                where=self.where,
            )
        return {run: members[run] for run in runs if run in members}

    def text(self) -> str:
        """A string; lone surrogates, which no page can hold, become U+FFFD."""
        if not isinstance(self.value, str):
            raise self.wrong("a string")
        return self.value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    def texts(self) -> tuple[str, ...]:
        """An array of strings."""
        return tuple(item.text() for item in self.items())

    def text_map(self) -> dict[str, str]:
        """An object of strings."""
        return {key: member.text() for key, member in self.mapping().items()}

    def flag(self) -> bool:
        """true or false."""
        if not isinstance(self.value, bool):
            raise self.wrong("true or false")
        return self.value

    def number(self) -> float | None:
        """A number, maybe infinite; null and NaN, which stand for "not measured", are None."""
        if self.value is None:
            return None
        if isinstance(self.value, bool) or not isinstance(self.value, int | float):
            raise self.wrong("a number or null")
        try:
            return None if math.isnan(self.value) else float(self.value)
        except OverflowError as error:
            raise self.wrong("a number that a float can hold") from error

    def finite(self) -> float:
        """A finite number."""
        value = self.number()
        if value is None or math.isinf(value):
            raise self.wrong("a finite number")
        return value

    def count(self, *, least: int = 0) -> int:
        """An integer of at least `least`."""
        if isinstance(self.value, bool) or not isinstance(self.value, int) or self.value < least:
            raise self.wrong(f"an integer of at least {least}")
        return self.value

    def box(self) -> Box:
        """A box, xyxy pixels, x0 < x1 and y0 < y1."""
        x0, y0, x1, y1 = (item.finite() for item in self.items(length=4))
        if x0 >= x1 or y0 >= y1:
            raise self.wrong("a box [x0, y0, x1, y1] with x0 < x1 and y0 < y1")
        return x0, y0, x1, y1

    def size_hw(self) -> tuple[int, int]:
        """(height, width), each at least 1."""
        height, width = (item.count(least=1) for item in self.items(length=2))
        return height, width

    def image_uri(self) -> str:
        """A picture held in the document itself; any other address is refused."""
        uri = self.text()
        if not _DATA_URI.fullmatch(uri):
            raise self.wrong("data:image/png, jpeg or webp;base64,...")
        return uri
