"""Rows of Parquet as Python's values: one that is no UTF-8 costs its own record alone.

Parquet's writers check no text, and Python's decoding of a column ends at the first bad value.
"""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from diglot.core.errors import DataError


class UnreadableRow(dict[str, Any]):
    """A row whose `fields` hold no text; the others are there."""

    def __init__(self, values: dict[str, Any], fields: Sequence[str]) -> None:
        super().__init__(values)
        self.fields = tuple(fields)

    def error(self, where: str) -> DataError:
        """What to say of it."""
        return DataError("text is not UTF-8", where=f"{where}, {', '.join(self.fields)}")


def list_rows(table: pa.Table | pa.RecordBatch) -> list[dict[str, Any]]:
    """The rows; one with text that cannot be decoded is an UnreadableRow."""
    try:
        return table.to_pylist()
    except UnicodeDecodeError:
        return [_read_row(table.slice(number, 1)) for number in range(table.num_rows)]


def _read_row(table: pa.Table | pa.RecordBatch) -> dict[str, Any]:
    values, undecoded = dict[str, Any](), list[str]()
    for name in table.schema.names:
        try:
            values[name] = table.column(name).to_pylist()[0]
        except UnicodeDecodeError:
            undecoded.append(name)
    return UnreadableRow(values, undecoded) if undecoded else values


def decode_texts(texts: Any) -> pa.Array:
    """Text that may not be UTF-8 with null in the place of what is not."""
    try:
        texts.validate(full=True)
    except pa.ArrowInvalid:
        return pa.array(
            [_decode(value) for value in texts.cast(pa.binary()).to_pylist()], pa.string()
        )
    return texts.cast(pa.string())


def _decode(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None
