"""A long word list as a sequence of str, held once and compactly (Arrow), not as Python objects."""

from collections.abc import Iterator

import pyarrow as pa

_PIECE = 65536


class Listed:
    """The words of a list: its length, a slice of it, and a pass over it."""

    def __init__(self, words: pa.StringArray) -> None:
        self._words = words

    def __len__(self) -> int:
        return len(self._words)

    def __getitem__(self, part: slice) -> list[str]:
        return self._words[part].to_pylist()

    def __iter__(self) -> Iterator[str]:
        for first in range(0, len(self), _PIECE):
            yield from self[first : first + _PIECE]
