"""Answers of one checkpoint on disk, one JSON line each: asked once, found again ever after."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from diglot.core.errors import DataError
from diglot.files import append_lines, lock_file, read_lines

Answer = dict[str, Any]


class Answers:
    """The answers in a JSONL file, by key. A line torn by a kill is cut off on the next start.

    Keys are digests of the item and of all that the answer depends on besides the checkpoint, so
    answers to other questions or under other settings stay beside one another.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._kept: dict[str, Answer] = {}
        self._read()

    def __contains__(self, key: str) -> bool:
        return key in self._kept

    def __getitem__(self, key: str) -> Answer:
        return self._kept[key]

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, answers: dict[str, Answer]) -> None:
        """Keep answers by key; they are on the disk on return."""
        entries = ({"key": key, "answer": answer} for key, answer in answers.items())
        append_lines(self.path, map(json.dumps, entries))
        self._kept |= answers

    def _read(self) -> None:
        for number, line in enumerate(read_lines(self.path), start=1):
            try:
                entry = json.loads(line)
                self._kept[entry["key"]] = entry["answer"]
            except (ValueError, KeyError, TypeError) as error:
                raise DataError(
                    "not a line of answers",
                    where=f"{self.path}:{number}",
                    fix="Remove the file; its questions are asked again.",
                ) from error


@contextmanager
def open_answers(folder: Path, checkpoint: str) -> Iterator[Answers]:
    """The answers of a checkpoint by its digest, for one process at a time.

    Raises ConfigError where another process is at it, DataError for a file that is damaged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with lock_file(folder / f".{checkpoint[:16]}.lock", wait=False):
        yield Answers(folder / f"{checkpoint[:16]}.jsonl")
