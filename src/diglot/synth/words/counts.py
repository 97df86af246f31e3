"""Counting more distinct words than fit in memory.

Counts are held in a dictionary of bounded size; whenever it is full it is added, sorted, to a
temporary SQLite database. SQLite keeps that in a nameless file that the system removes with the
process, in the folder for temporary files (`TMPDIR`), and sorts there too.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Self

MEMORY_WORDS = 1_000_000  # about 150 MB of dictionary
_CACHE_KB = 64_000


class WordCounts:
    """How often each word was added. Use as a context manager; read it with `commonest`."""

    def __init__(self, *, memory_words: int = MEMORY_WORDS) -> None:
        self._memory_words = memory_words
        self._counts: Counter[str] = Counter()
        self.spills = 0  # how often memory was full
        self._database = sqlite3.connect("", isolation_level=None)
        for setting in (f"cache_size = -{_CACHE_KB}", "temp_store = FILE", "synchronous = OFF"):
            self._database.execute(f"PRAGMA {setting}")
        self._database.execute(
            "CREATE TABLE words (word TEXT PRIMARY KEY, count INTEGER) WITHOUT ROWID"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def add(self, words: Iterable[str], times: int = 1) -> None:
        """Count every word once for each time it stands in `words`, `times` over."""
        for word in words:
            self._counts[word] += times
        if len(self._counts) > self._memory_words:
            self._spill()
            self.spills += 1

    def commonest(self) -> Iterator[tuple[str, int]]:
        """(word, count) of every word, commonest first, then by word."""
        self._spill()
        return self._database.execute("SELECT word, count FROM words ORDER BY count DESC, word")

    def _spill(self) -> None:
        self._database.execute("BEGIN")
        self._database.executemany(
            "INSERT INTO words VALUES (?, ?) "
            "ON CONFLICT (word) DO UPDATE SET count = count + excluded.count",
            sorted(self._counts.items()),  # in the tree's order: each page is touched once
        )
        self._database.execute("COMMIT")
        self._counts.clear()
