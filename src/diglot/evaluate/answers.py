"""Answers of one checkpoint on disk, a batch a line: asked once, found again ever after."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from diglot.core.errors import DataError
from diglot.core.seals import CHANGED, is_changed, seal_record
from diglot.files import append_lines, lock_file, read_lines

Answer = dict[str, Any]


class Answers:
    """The answers in a JSONL file, by key. A line torn by a kill is cut off on the next start, so
    that a batch is there whole or not at all: what is asked together may round as one.

    Keys are digests of the item and of all that the answer depends on besides the checkpoint, so
    answers to other questions or under other settings stay beside one another.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.by_key: dict[str, Answer] = {}
        self._read()

    def __contains__(self, key: str) -> bool:
        return key in self.by_key

    def __getitem__(self, key: str) -> Answer:
        return self.by_key[key]

    def __len__(self) -> int:
        return len(self.by_key)

    def add(self, answers: dict[str, Answer]) -> None:
        """Keep a batch of answers by key; they are on the disk on return."""
        if answers:
            append_lines(self.path, [json.dumps(seal_record({"answers": answers}))])
            self.by_key |= answers

    def _read(self) -> None:
        for number, line in enumerate(read_lines(self.path), start=1):
            try:
                self.by_key |= _read_batch(json.loads(line))
            except (ValueError, KeyError, TypeError) as error:
                raise DataError(
                    f"not a line of answers ({error})",
                    where=f"{self.path}:{number}",
                    fix="Remove the file; its questions are asked again.",
                ) from error


def _read_batch(line: Any) -> dict[str, Answer]:
    """The answers of a line by key. Raises ValueError, KeyError or TypeError for a damaged one."""
    if is_changed(line):
        raise ValueError(CHANGED)
    if "key" in line:  # of an earlier version, an answer a line
        return {line["key"]: line["answer"]}
    return dict(line["answers"])


@contextmanager
def open_answers(folder: Path, checkpoint: str) -> Iterator[Answers]:
    """The answers of a checkpoint by its digest, for one process at a time.

    Raises ConfigError where another process is at it, DataError for a file that is damaged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with lock_file(folder / f".{checkpoint[:16]}.lock", wait=False):
        yield Answers(folder / f"{checkpoint[:16]}.jsonl")
