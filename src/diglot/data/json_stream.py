"""JSON files of any size, read and written item by item."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import ijson

from diglot.core.errors import ConfigError, DataError
from diglot.data.format import Row
from diglot.files import replace_file

MAX_LINE_BYTES = 64 * 2**20


def read_items(path: Path, prefix: str = "item") -> Iterator[Row]:
    """The items of an array in a JSON file; `prefix` "images.item" is the array under "images".

    Raises ConfigError for a missing file, DataError where it stops being JSON: what follows is
    lost, since nothing marks where the next item begins.
    """
    with open_binary(path) as file:
        number = 0
        try:
            for number, value in enumerate(ijson.items(file, prefix, use_float=True), start=1):
                where = f"{path.name}, {prefix.removesuffix('.item')} {number}"
                yield Row(where, value, number=number)
        except (ijson.JSONError, UnicodeDecodeError, ValueError) as error:
            raise DataError(
                f"not JSON ({_one_line(error)})",
                where=f"{path}, after item {number}",
                fix="The file is torn, or of another format: --from names it.",
            ) from error


def read_pairs(path: Path, prefix: str = "") -> Iterator[Row]:
    """The members of an object in a JSON file; each row's id is the member's name."""
    with open_binary(path) as file:
        try:
            for name, value in ijson.kvitems(file, prefix, use_float=True):
                yield Row(f"{path.name}, {name}", value, name)
        except (ijson.JSONError, UnicodeDecodeError, ValueError) as error:
            raise DataError(f"not JSON ({_one_line(error)})", where=str(path)) from error


def _one_line(error: Exception) -> str:
    """Its message without the picture of the place that the parser draws under it."""
    return str(error).split("\n")[0].strip()


def read_lines(path: Path) -> Iterator[Row]:
    """The lines of a JSONL file as bytes, not parsed: a bad line is one bad row."""
    with open_binary(path) as file:
        number = 0
        while line := file.readline(MAX_LINE_BYTES):
            number += 1
            if line.strip():
                yield Row(f"{path.name}:{number}", line, number=number)


def parse_line(line: bytes) -> dict[str, Any]:
    """The object on a line. Raises DataError for anything else."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"not JSON ({type(error).__name__})") from error
    if not isinstance(value, dict):
        raise DataError("not a record", expected="a JSON object", got=type(value).__name__)
    return value


@contextmanager
def open_binary(path: Path) -> Iterator[IO[bytes]]:
    """The file. Raises ConfigError where it is not there."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise ConfigError(f"cannot read: {error.strerror}", where=str(path)) from error
    with file:
        yield file


class ArrayFile:
    """Arrays of one JSON object, filled in any order and written as they come."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.counts = dict.fromkeys(names, 0)
        self._parts = {name: tempfile.TemporaryFile() for name in names}  # noqa: SIM115

    def add(self, name: str, value: Any) -> None:
        """Append `value` to the array `name`."""
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        self._parts[name].write((",\n" if self.counts[name] else "").encode() + text.encode())
        self.counts[name] += 1

    def save(self, path: Path) -> None:
        """Write the object, whole or not at all; the only array named "" is written by itself."""
        with replace_file(path) as temporary, open(temporary, "wb") as out:
            bare = list(self._parts) == [""]
            out.write(b"" if bare else b"{")
            for index, (name, part) in enumerate(self._parts.items()):
                key = b"" if bare else f"{', ' if index else ''}{json.dumps(name)}: ".encode()
                out.write(key + b"[")
                _copy_blocks(part, out)
                out.write(b"]")
            out.write(b"\n" if bare else b"}\n")


def _copy_blocks(part: IO[bytes], out: IO[bytes]) -> None:
    part.seek(0)
    while block := part.read(2**20):
        out.write(block)
