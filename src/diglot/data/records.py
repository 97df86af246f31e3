"""Reading a dataset folder: checked Samples by index, straight from the Parquet shards."""

import bisect
import hashlib
import logging
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from diglot.core.errors import ConfigError, DataError
from diglot.core.types import Sample, SizeHW
from diglot.data import shards
from diglot.data.columns import find_conversations, read_ids, read_labels, read_sizes
from diglot.data.schema import from_row
from diglot.data.shard_writer import unreadable_error
from diglot.data.stored_rows import list_rows
from diglot.data.writer import DatasetWriter, write_dataset
from diglot.files import FileDigests

__all__ = ["Dataset", "DatasetWriter", "open_dataset", "write_dataset"]

log = logging.getLogger(__name__)

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
        self._warned = set[str]()
        self._reading = Lock()  # pictures of several slices are opened by a thread each

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
        path = self._shards[number].path
        sample = from_row(self._read_row(number, index - before), where=path.name)
        self._warn_of_lost(sample, path)
        return sample

    def _warn_of_lost(self, sample: Sample, path: Path) -> None:
        """Name the first sample of each kind of loss; `diglot check` names them all."""
        for kind in set(sample.lost) - self._warned:
            self._warned.add(kind)
            log.warning("%s, sample %r: %s; diglot check lists all such", path, sample.id, kind)

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))

    @property
    def shard_sizes(self) -> list[int]:
        """How many samples each shard holds, in order."""
        return [shard.samples for shard in self._shards]

    @property
    def _paths(self) -> list[Path]:
        return [shard.path for shard in self._shards]

    @property
    def ids(self) -> Sequence[str]:
        """The id of every sample, in order, without reading a picture; "" where a record has none.

        This and the three below are read as a whole when first asked for, and kept in few bytes.
        """
        return self._ids

    @cached_property
    def _ids(self) -> Sequence[str]:  # apart, as a protocol's property is no cached one
        return read_ids(self._paths)

    @cached_property
    def sizes_hw(self) -> Sequence[tuple[SizeHW, ...]]:
        """(height, width) in pixels of every sample's images, in order, without reading a picture.

        (0, 0) where a record states none: reading that record raises DataError.
        """
        return read_sizes(self._paths)

    @cached_property
    def labels(self) -> Sequence[list[str | None]]:
        """The labels of every sample's regions, in order, without reading a picture."""
        return read_labels(self._paths)

    @cached_property
    def conversations(self) -> np.ndarray:
        """Whether each sample is a conversation, bool (N,), without reading texts or pictures."""
        return find_conversations(self._paths)

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
        with self._reading:
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
            rows = list_rows(self._open_file(number).read_row_group(group, use_threads=False))
        except (OSError, pa.ArrowException) as error:
            raise unreadable_error(self._shards[number].path, error) from error
        self._groups[key] = rows
        if len(self._groups) > _CACHED_ROW_GROUPS:
            self._groups.popitem(last=False)
        return rows


def open_dataset(folder: Path, split: str = "train", *, allow_incomplete: bool = False) -> Dataset:
    """The split's samples. Footers are read and columns checked now, pictures never before asked.

    A footer is read again only where the shard's size, time of change or inode differ.

    Raises ConfigError for a missing folder, a split that is missing or empty, or one still being
    written (unless `allow_incomplete`); DataError for shards that cannot be read or have other
    columns than ours.
    """
    folder = Path(folder)
    paths = shards.find_shards(folder, split)
    entry = shards.read_manifest(folder)["splits"].get(split)
    parts = shards.open_shards(folder, paths)
    if entry is not None and not allow_incomplete:
        _check_complete(entry, sum(shard.samples for shard in parts), where=f"{folder}, {split}")
    if not any(shard.samples for shard in parts):
        raise shards.empty_error(folder, split)
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
