"""Columns of a dataset read as a whole and kept small: some bytes a record, however many there are.

A list of Python's strings or tuples takes ten times as much, and training keeps what it reads here.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from diglot.core.types import SizeHW
from diglot.data.shard_writer import unreadable_error
from diglot.data.stored_rows import decode_texts

T = TypeVar("T")
_BLOCK = 4096  # values that are Python's at once when all are gone through
_SIZES = pa.list_(pa.list_(pa.int32()))


class Column(Sequence[T], Generic[T]):
    """One value a record, kept as Arrow does; `convert` makes what is read of a value."""

    def __init__(self, values: pa.Array, convert: Callable[[Any], T]) -> None:
        self._values, self._convert = values, convert

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return self._convert(self._values[index].as_py())

    def __iter__(self) -> Iterator[T]:
        for start in range(0, len(self), _BLOCK):
            yield from map(self._convert, self._values.slice(start, _BLOCK).to_pylist())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # as a list's


def read_ids(paths: Sequence[Path]) -> Column[str]:
    """The id of every record of these shards, in order.

    "" where a record has none that can be read. Raises DataError as all here do, for a shard that
    cannot be opened; where a part of it is damaged, its records have none of what is asked.
    """
    parts = [_read_shard(path, _read_shard_ids) for path in paths]
    return Column(pa.concat_arrays(parts), str)


def read_sizes(paths: Sequence[Path]) -> Column[tuple[SizeHW, ...]]:
    """(height, width) of every record's images; (0, 0) where a record states none."""
    parts = [_read_shard(path, _read_shard_sizes) for path in paths]
    return Column(pa.concat_arrays(parts), _make_sizes)


def read_labels(paths: Sequence[Path]) -> Column[list[str | None]]:
    """The labels of every record's regions. A name is kept once."""
    parts = [_read_shard(path, _read_shard_labels) for path in paths]
    lengths_N = np.concatenate([lengths for lengths, _ in parts])
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths_N)]), pa.int64())
    names: Any = pa.chunked_array([labels for _, labels in parts], pa.string()).dictionary_encode()
    return Column(pa.LargeListArray.from_arrays(offsets, names.combine_chunks()), list)


def find_conversations(paths: Sequence[Path]) -> np.ndarray:
    """Whether each record is a conversation, which a record with a turn is; bool (N,)."""
    return np.concatenate([_read_shard(path, _find_shard_conversations) for path in paths])


def _read_shard(path: Path, read: Callable[[pq.ParquetFile], T]) -> T:
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            return read(file)
    except (OSError, pa.ArrowException) as error:
        raise unreadable_error(path, error) from error


def _read_column(file: pq.ParquetFile, name: str) -> Any:
    """The column, nulls in the place of row groups that are damaged: reading a record of theirs
    says so.
    """
    groups = range(file.metadata.num_row_groups)
    parts = [_read_part(file, group, name) for group in groups]
    kinds = [part.type for part in parts if part is not None]
    kind = kinds[0] if kinds else file.schema_arrow.field(name.partition(".")[0]).type
    sizes = [file.metadata.row_group(group).num_rows for group in groups]
    whole = [
        pa.nulls(size, kind) if part is None else part
        for part, size in zip(parts, sizes, strict=True)
    ]
    return pa.chunked_array(whole, kind).combine_chunks()


def _read_part(file: pq.ParquetFile, group: int, name: str) -> Any | None:
    """One row group of the column; None where it is damaged."""
    try:
        table = file.read_row_group(group, columns=[name], use_threads=False)
    except MemoryError:
        raise
    except (OSError, pa.ArrowException) as error:
        if getattr(error, "errno", None):
            raise
        return None
    return table.column(name.partition(".")[0]).combine_chunks()


def _leaves_of(file: pq.ParquetFile, name: str) -> list[str]:
    """Paths of the columns that hold the values inside the column `name`."""
    paths = (file.metadata.schema.column(i).path for i in range(file.metadata.num_columns))
    return [path for path in paths if path.partition(".")[0] == name]


def _read_shard_ids(file: pq.ParquetFile) -> pa.Array:
    return decode_texts(_read_column(file, "id")).fill_null("")


def _read_shard_sizes(file: pq.ParquetFile) -> pa.Array:
    if "sizes_hw" in file.schema_arrow.names:
        return _read_column(file, "sizes_hw").cast(_SIZES)
    sizes = _read_column(file, "size_hw").cast(pa.list_(pa.int32()))  # format 1: one image
    return pa.ListArray.from_arrays(pa.array(range(len(sizes) + 1), pa.int32()), sizes)


def _make_sizes(sizes: list[list[int | None] | None] | None) -> tuple[SizeHW, ...]:
    return tuple(_make_size(size) for size in ([None] if sizes is None else sizes))


def _make_size(size: Sequence[int | None] | None) -> SizeHW:
    height, width = size if size is not None and len(size) == 2 else (0, 0)
    return height or 0, width or 0


def _read_shard_labels(file: pq.ParquetFile) -> tuple[np.ndarray, pa.Array]:
    """How many regions each record has, and the labels of all of them."""
    none = np.zeros(file.metadata.num_rows, np.int64), pa.array([], pa.string())
    leaves = [name for name in _leaves_of(file, "regions") if name.endswith(".label")]
    if not leaves:  # a null column, or records of others without labels
        return none
    column = _read_column(file, leaves[0])
    if pa.types.is_null(column.type.value_type):  # every list is empty
        return none
    lengths = column.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    return lengths, decode_texts(column.flatten().field("label"))


def _find_shard_conversations(file: pq.ParquetFile) -> np.ndarray:
    leaves = _leaves_of(file, "turns")
    if not leaves or leaves == ["turns"]:  # format 1, or nothing but nulls
        return np.zeros(file.metadata.num_rows, bool)
    leaf = next((name for name in leaves if name.endswith(".learn")), leaves[0])
    lengths = _read_column(file, leaf).value_lengths().fill_null(0)
    return lengths.to_numpy(zero_copy_only=False) > 0
