"""Rows brought together by a key, on the disk: annotations by their image, without memory."""

import json
import os
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any


class RowGroups:
    """JSON values by key. Use as a context manager; the file goes away with it."""

    def __enter__(self) -> "RowGroups":
        self._folder = tempfile.TemporaryDirectory(prefix="diglot-")
        self._base = sqlite3.connect(Path(self._folder.name) / "rows.sqlite", isolation_level=None)
        for line in ("journal_mode = off", "synchronous = off", "cache_size = -16384"):
            self._base.execute(f"pragma {line}")
        self._base.execute("create table rows (key text, value text)")
        self._base.execute("create table ids (id text primary key) without rowid")
        self._base.execute("begin")
        self._indexed = False
        self.added = self.fetched = 0
        return self

    def __exit__(self, *_: object) -> None:
        self._base.close()
        self._folder.cleanup()

    def add(self, pairs: Iterable[tuple[str, Any]]) -> None:
        """Add (key, value) pairs."""
        texts = ((key, json.dumps(value)) for key, value in pairs)
        self.added += self._base.executemany("insert into rows values (?, ?)", texts).rowcount

    def get(self, key: str) -> list[Any]:
        """The values of a key, in the order they were added."""
        self._make_index()
        found = self._base.execute("select value from rows where key = ? order by rowid", (key,))
        values = [json.loads(text) for (text,) in found]
        self.fetched += len(values)
        return values

    def each_key(self) -> Iterator[str]:
        """Every key once, sorted."""
        self._make_index()
        return (key for (key,) in self._base.execute("select distinct key from rows order by key"))

    def _make_index(self) -> None:
        if not self._indexed:
            self._base.execute("create index by_key on rows (key)")
            self._indexed = True

    def is_new(self, id: str) -> bool:
        """Whether `id` is asked about for the first time."""
        text = id.encode("utf-8", "backslashreplace").decode()
        found = self._base.execute("insert or ignore into ids values (?)", (text,))
        return found.rowcount == 1


def sorted_files(folder: Path, suffix: str) -> Iterator[Path]:
    """The files of a folder with that suffix, by name; their names are sorted on the disk."""
    with RowGroups() as names, os.scandir(folder) as found:
        names.add((entry.name, None) for entry in found if entry.name.endswith(suffix))
        for name in names.each_key():
            yield folder / name
