"""Reading a dataset folder: checked Samples by index, straight from the Parquet shards."""

import bisect
import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import accumulate, chain, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from diglot.core.errors import ConfigError, DataError
from diglot.core.types import Sample, SizeHW
from diglot.data import shards
from diglot.data.schema import OLDER_FIELDS, OPTIONAL_COLUMNS, arrow_schema, from_row
from diglot.data.shard_writer import read_footer, unreadable
from diglot.data.writer import DatasetWriter, write_dataset
from diglot.files import FileDigests

__all__ = ["Dataset", "DatasetWriter", "open_dataset", "write_dataset"]

_CACHED_ROW_GROUPS = 16
_OPEN_FILES = 32  # systems allow about a thousand to a process; large sets have more shards


class Dataset:
    """One split of a dataset folder. Get it from `open_dataset`; safe to send to other processes.

    `dataset[i]` reads one row group (kept, the last few) and checks the record.
    """

    def __init__(self, folder: Path, split: str, parts: list[shards.Shard]) -> None:
        self.folder, self.split = folder, split
        self._shards = parts
        self._ends = list(accumulate(shard.samples for shard in parts))
        self._reset_caches()

    def _reset_caches(self) -> None:
        self._files: OrderedDict[int, pq.ParquetFile] = OrderedDict()
        self._groups: OrderedDict[tuple[int, int], list[dict[str, Any]]] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        return {"args": (self.folder, self.split, self._shards)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(*state["args"])

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, index: int) -> Sample:
        """The sample at `index` (negative counts from the end).

        Raises IndexError, or DataError naming the sample's id and the field that is wrong.
        """
        size = len(self)
        if not -size <= index < size:
            raise IndexError(f"sample {index} of {size}")
        index %= size
        number = bisect.bisect_right(self._ends, index)
        before = self._ends[number - 1] if number else 0
        return from_row(
            self._read_row(number, index - before), where=self._shards[number].path.name
        )

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))

    @property
    def shard_sizes(self) -> list[int]:
        """How many samples each shard holds, in order."""
        return [shard.samples for shard in self._shards]

    @property
    def ids(self) -> list[str]:
        """The id of every sample, in order, without reading a picture."""
        return self._read_ids

    @cached_property
    def _read_ids(self) -> list[str]:
        by_shard = [_read_column(shard.path, "id").to_pylist() for shard in self._shards]
        return list(chain.from_iterable(by_shard))

    @cached_property
    def sizes_hw(self) -> list[tuple[SizeHW, ...]]:
        """(height, width) in pixels of every sample's images, in order, without reading a picture.

        (0, 0) where a record states none: reading that record raises DataError.
        """
        by_shard = [_read_sizes(shard.path) for shard in self._shards]
        return list(chain.from_iterable(by_shard))

    @cached_property
    def labels(self) -> list[list[str | None]]:
        """The labels of every sample's regions, in order, without reading a picture."""
        return list(chain.from_iterable(_read_labels(shard.path) for shard in self._shards))

    @cached_property
    def conversations(self) -> list[bool]:
        """Whether each sample is a conversation, in order, without reading texts or pictures."""
        return list(chain.from_iterable(_find_conversations(shard.path) for shard in self._shards))

    @cached_property
    def fingerprint(self) -> str:
        """64 hex digits that name the content, order included.

        Shards that are, byte by byte, those that were written have the fingerprint of their
        samples, however they are cut; others that of their bytes. A shard is read once for it, then
        again only when its size, time of change or inode differ.
        """
        names = [shard.path.name for shard in self._shards]
        try:
            found = FileDigests(self.folder).find(*names)
        except OSError as error:
            raise DataError(f"cannot be read ({error})", where=str(self.folder)) from error
        entry = shards.read_manifest(self.folder)["splits"].get(self.split, {})
        if entry.get("files") == dict(zip(names, found, strict=True)):
            return f"{sum(shard.digest or 0 for shard in self._shards) % 2**256:064x}"
        return hashlib.sha256("".join(found).encode()).hexdigest()

    @property
    def info(self) -> dict[str, Any]:
        """How the split was made, from its writer; empty where nothing is known."""
        entry = shards.read_manifest(self.folder)["splits"].get(self.split, {})
        return entry.get("info", {})

    def _read_row(self, number: int, index: int) -> dict[str, Any]:
        group, metadata = 0, self._open_file(number).metadata
        while index >= (rows := metadata.row_group(group).num_rows):
            index -= rows
            group += 1
        return self._read_group(number, group)[index]

    def _open_file(self, number: int) -> pq.ParquetFile:
        if number in self._files:
            self._files.move_to_end(number)
            return self._files[number]
        path = self._shards[number].path
        self._files[number] = pq.ParquetFile(path, memory_map=True, page_checksum_verification=True)
        if len(self._files) > _OPEN_FILES:
            self._files.popitem(last=False)[1].close(force=True)
        return self._files[number]

    def _read_group(self, number: int, group: int) -> list[dict[str, Any]]:
        key = (number, group)
        if key in self._groups:
            self._groups.move_to_end(key)
            return self._groups[key]
        try:
            rows = self._open_file(number).read_row_group(group, use_threads=False).to_pylist()
        except (OSError, pa.ArrowException) as error:
            raise unreadable(self._shards[number].path, error) from error
        self._groups[key] = rows
        if len(self._groups) > _CACHED_ROW_GROUPS:
            self._groups.popitem(last=False)
        return rows


def _read_column(path: Path, name: str) -> pa.ChunkedArray:
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            return file.read(columns=[name]).column(name.partition(".")[0])
    except (OSError, pa.ArrowException) as error:
        raise unreadable(path, error) from error


def _read_sizes(path: Path) -> list[tuple[SizeHW, ...]]:
    if "sizes_hw" in read_footer(path).schema.to_arrow_schema().names:
        column = _read_column(path, "sizes_hw").to_pylist()
        return [
            tuple(_read_size(size) for size in ([None] if sizes is None else sizes))
            for sizes in column
        ]
    return [(_read_size(size),) for size in _read_column(path, "size_hw").to_pylist()]  # format 1


def _read_size(size: Sequence[int | None] | None) -> SizeHW:
    height, width = size if size is not None and len(size) == 2 else (0, 0)
    return height or 0, width or 0


def _read_labels(path: Path) -> list[list[str | None]]:
    schema, samples = pq.read_schema(path), pq.read_metadata(path).num_rows
    if "regions" not in schema.names or pa.types.is_null(schema.field("regions").type):
        return [[] for _ in range(samples)]
    column: Any = _read_column(path, "regions").combine_chunks()
    if pa.types.is_null(column.type.value_type):  # every list is empty
        return [[] for _ in range(samples)]
    labels = iter(column.flatten().field("label").to_pylist())
    return [list(islice(labels, size or 0)) for size in column.value_lengths().to_pylist()]


def _find_conversations(path: Path) -> list[bool]:
    """A record with a turn is a conversation. Reads the smallest of the columns inside `turns`."""
    footer = read_footer(path)
    columns = [footer.schema.column(i).path for i in range(footer.num_columns)]
    inside = [name for name in columns if name.startswith("turns.")]
    if not inside:  # format 1, or nothing but nulls
        return [False] * footer.num_rows
    leaf = next((name for name in inside if name.endswith(".learn")), inside[0])
    return [bool(turns) for turns in _read_column(path, leaf).to_pylist()]


def open_dataset(folder: Path, split: str = "train", *, allow_incomplete: bool = False) -> Dataset:
    """The split's samples. Footers are read and columns checked now, pictures never before asked.

    Raises ConfigError for a missing folder or split, or one still being written (unless
    `allow_incomplete`); DataError for shards that cannot be read or have other columns than ours.
    """
    folder = Path(folder)
    paths = shards.find_shards(folder, split)
    entry = shards.read_manifest(folder)["splits"].get(split)
    opened = [shards.open_shard(path) for path in paths]
    for shard, schema in opened:
        _check_columns(schema, where=str(shard.path))
    parts = [shard for shard, _ in opened]
    if entry is not None and not allow_incomplete:
        _check_complete(entry, sum(shard.samples for shard in parts), where=f"{folder}, {split}")
    return Dataset(folder, split, parts)


def _check_complete(entry: dict[str, Any], found: int, *, where: str) -> None:
    if not entry.get("complete"):
        raise ConfigError(
            f"the split is not finished ({found} samples so far)",
            where=where,
            fix="Run the command that makes it again: it resumes.",
        )
    if entry.get("samples") != found:
        raise DataError("shards are missing", expected=entry.get("samples"), got=found, where=where)


def _check_columns(schema: pa.Schema, *, where: str) -> None:
    older = schema.get_field_index("images") < 0 <= schema.get_field_index("image")
    expected = {field.name: field.type for field in arrow_schema()}
    if older:
        del expected["images"], expected["sizes_hw"]
        expected |= OLDER_FIELDS
    for name, kind in expected.items():
        index = schema.get_field_index(name)
        if index < 0 and name not in OPTIONAL_COLUMNS:
            raise DataError(
                f"no column {name!r}",
                expected=", ".join(expected),
                got=", ".join(schema.names),
                where=where,
            )
        if index >= 0 and not _types_match(schema.field(index).type, kind):
            raise DataError(
                f"column {name!r} has another type",
                expected=kind,
                got=schema.field(index).type,
                where=where,
            )


def _types_match(found: pa.DataType, ours: pa.DataType) -> bool:
    """Same nesting, and the same kind of value (another width of integer or float will do)."""
    types = pa.types
    if types.is_null(found):  # as pandas writes what is nothing but nulls
        return True
    if types.is_list(ours):
        nested = (
            types.is_list(found) or types.is_large_list(found) or types.is_fixed_size_list(found)
        )
        return nested and _types_match(found.value_type, ours.value_type)
    if types.is_struct(ours):
        return types.is_struct(found) and all(
            found.get_field_index(f.name) < 0 or _types_match(found.field(f.name).type, f.type)
            for f in ours
        )
    kinds = (types.is_integer, types.is_floating, types.is_boolean, _is_text, _is_bytes)
    return any(kind(found) and kind(ours) for kind in kinds)


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _is_bytes(kind: pa.DataType) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
