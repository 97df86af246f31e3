"""Rows brought together by a key, and ids met so far: on the disk, without memory."""

import errno
import json
import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Self


class _TemporaryTables:
    """SQLite tables in a file that goes away with the `with` block."""

    tables: tuple[str, ...]
    cache_kib: int

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="diglot-")
        path = Path(self._folder.name) / "rows.sqlite"
        # Slices are committed from several threads, one at a time.
        self._base = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        pragmas = ("journal_mode = off", "synchronous = off", f"cache_size = -{self.cache_kib}")
        for line in (*(f"pragma {p}" for p in pragmas), *self.tables, "begin"):
            self._base.execute(line)
        return self

    def __exit__(self, *_: object) -> None:
        self._base.close()
        self._folder.cleanup()

    def _run(self, line: str, *values: str) -> sqlite3.Cursor:
        """Run one statement. Raises OSError where the disk is full."""
        return self._guard(lambda: self._base.execute(line, values))

    def _run_many(self, line: str, rows: Iterable[tuple[str, ...]]) -> sqlite3.Cursor:
        return self._guard(lambda: self._base.executemany(line, rows))

    def _guard(self, run: Callable[[], sqlite3.Cursor]) -> sqlite3.Cursor:
        try:
            return run()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
                raise
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._folder.name) from error


class RowGroups(_TemporaryTables):
    """JSON values by key. Use as a context manager."""

    tables = ("create table rows (key text, value text)",)
    cache_kib = 16384

    def __init__(self) -> None:
        self._indexed = False
        self.added = self.fetched = 0

    def add(self, pairs: Iterable[tuple[str, Any]]) -> None:
        """Add (key, value) pairs."""
        texts = ((key, json.dumps(value)) for key, value in pairs)
        self.added += self._run_many("insert into rows values (?, ?)", texts).rowcount

    def get(self, key: str) -> list[Any]:
        """The values of a key, in the order they were added."""
        self._make_index()
        found = self._run("select value from rows where key = ? order by rowid", key)
        values = [json.loads(text) for (text,) in found]
        self.fetched += len(values)
        return values

    def each_key(self) -> Iterator[str]:
        """Every key once, sorted."""
        self._make_index()
        return (key for (key,) in self._run("select distinct key from rows order by key"))

    def _make_index(self) -> None:
        if not self._indexed:
            self._run("create index by_key on rows (key)")
            self._indexed = True


class IdStore(_TemporaryTables):
    """Ids met so far, as millions of them would fill the memory. Use as a context manager."""

    tables = ("create table ids (id text primary key, former int) without rowid",)
    cache_kib = 4096

    def is_new(self, id: str) -> bool:
        """Whether `id` is met for the first time; from now on it is not."""
        return self._run("insert or ignore into ids values (?, 0)", _to_text(id)).rowcount == 1

    def add_former(self, ids: Iterable[str]) -> None:
        """Ids that a former call met."""
        rows = ((_to_text(id),) for id in ids)
        self._run_many("insert or ignore into ids values (?, 1)", rows)

    def has_id(self, id: str) -> bool:
        """Whether `id` was met, by this call or a former one."""
        return self._run("select 1 from ids where id = ?", _to_text(id)).fetchone() is not None

    def take_former(self, id: str) -> bool:
        """Whether a former call met `id`, and this one meets it for the first time."""
        line = "update ids set former = 0 where id = ? and former = 1"
        return self._run(line, _to_text(id)).rowcount == 1


def _to_text(id: str) -> str:
    return id.encode("utf-8", "backslashreplace").decode()


def sorted_files(folder: Path, suffix: str) -> Iterator[Path]:
    """The files of a folder with that suffix, by name; their names are sorted on the disk."""
    with RowGroups() as names, os.scandir(folder) as found:
        names.add((entry.name, None) for entry in found if entry.name.endswith(suffix))
        for name in names.each_key():
            yield folder / name
