"""Rows written as numbered Parquet files, each there whole or not at all, resumable after a kill.

Own code, as no library does all of it: resuming at the row, small row groups for random reads, and
digests by which a file that was damaged or exchanged later is found.

    writer = ShardWriter(folder, "train", schema, shard_rows=lambda number: 256)
    writer.resume(recorded_digests)       # those that a former call left
    writer.add({"id": "a", ...})          # True where the row completed a file
    writer.flush()                        # the last, perhaps shorter, file
    record(writer.digests)                # {"train-00000.parquet": sha256, ...}

Whoever uses it holds the lock of the folder, and keeps `digests` in a description of its own.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from diglot.core.errors import DataError
from diglot.files import FileDigests, remove_left_overs, replace_file

ROW_GROUP_ROWS = 8
Row = Mapping[str, Any]


class ShardWriter:
    """Appends rows to `PREFIX-00000.parquet` and so on. `digests` names the files that are there.

    Args:
        folder: Where the files lie; it must exist.
        prefix: First part of their names.
        schema: Of the rows.
        shard_rows: The number of rows of the file with a given number.
        describe: Called with a file's rows; what it returns goes into the file's metadata.
        options: Further arguments of `pyarrow.parquet.write_table`.
    """

    def __init__(
        self,
        folder: Path,
        prefix: str,
        schema: pa.Schema,
        *,
        shard_rows: Callable[[int], int],
        describe: Callable[[list[Row]], Mapping[bytes, bytes]] = lambda rows: {},
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder, self.prefix, self.digests = folder, prefix, dict[str, str]()
        self.pending: list[Row] = []
        self.rows = 0  # in whole files
        self._schema, self._shard_rows, self._describe = schema, shard_rows, describe
        self._options = {"row_group_size": ROW_GROUP_ROWS, "write_page_checksum": True}
        self._options |= options or {}
        self._files = FileDigests(folder)

    def __len__(self) -> int:
        return self.rows + len(self.pending)

    def path_of(self, number: int) -> Path:
        """The file with a given number."""
        return self.folder / f"{self.prefix}-{number:05d}.parquet"

    def resume(self, recorded: Mapping[str, str] | None = None) -> list[pq.FileMetaData]:
        """Take up the files that are there; returns their footers, in order.

        `recorded` are the digests that were kept of a former call; files that are missing at the
        end are to be written again. Raises DataError naming a file that is missing before others,
        damaged, or not the one that was written.
        """
        for path in self.folder.glob(f".{self.prefix}-*.tmp"):
            remove_left_overs(path.with_name(path.name[1:].rsplit(".", 2)[0]))
        paths = sorted(self.folder.glob(f"{self.prefix}-*.parquet"))
        return [self._take_shard(number, path, recorded or {}) for number, path in enumerate(paths)]

    def _take_shard(self, number: int, path: Path, recorded: Mapping[str, str]) -> pq.FileMetaData:
        if path != self.path_of(number):
            raise DataError(
                f"a shard is missing before {path.name}",
                expected=self.path_of(number).name,
                where=str(self.folder),
                fix="Put the file back, or delete the files after the gap and run again.",
            )
        metadata = read_footer(path)
        digest = self._files.find(path.name)[0]
        if recorded.get(path.name, digest) != digest:
            raise DataError(
                "the file is not as it was written: damaged, or changed since",
                where=str(path),
                fix="Put a copy back. Else delete it and all files after it, and run again: they "
                "are made anew.",
            )
        if path.name not in recorded:
            check_pages(path)  # the writer was killed before it could record it
        self.digests[path.name] = digest
        self.rows += metadata.num_rows
        return metadata

    def add(self, row: Row) -> bool:
        """Append a row; True where it completed a file, which is then on the disk."""
        self.pending.append(row)
        full = len(self.pending) == self._shard_rows(len(self.digests))
        if full:
            self.flush()
        return full

    def flush(self) -> None:
        """Write the rows that wait as a file; nothing where none wait."""
        if not self.pending:
            return
        path = self.path_of(len(self.digests))
        described = {**(self._schema.metadata or {}), **self._describe(self.pending)}
        schema = self._schema.with_metadata(described or None)
        with replace_file(path) as temporary:
            table = pa.Table.from_pylist(self.pending, schema=schema)  # type: ignore[arg-type]
            pq.write_table(table, temporary, **self._options)
        self.digests[path.name] = self._files.find(path.name)[0]
        self.rows, self.pending = self.rows + len(self.pending), []


def read_footer(path: Path) -> pq.FileMetaData:
    """A Parquet file's footer. Raises DataError that says whether the file or the access is bad."""
    try:
        return pq.read_metadata(path)
    except (OSError, pa.ArrowException) as error:
        raise unreadable_error(path, error) from error


def check_pages(path: Path) -> None:
    """Read a whole Parquet file. Raises DataError where a page is damaged."""
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            for group in range(file.metadata.num_row_groups):
                file.read_row_group(group, use_threads=False)
    except (OSError, pa.ArrowException) as error:
        raise unreadable_error(path, error) from error


def unreadable_error(path: Path, error: Exception) -> DataError:
    """What to say of a Parquet file that an error came from."""
    errno = getattr(error, "errno", None)
    if errno or isinstance(error, MemoryError | pa.ArrowMemoryError):
        reason = getattr(error, "strerror", None) or str(error)
        what = f"the file cannot be opened ({reason})"
        fix = "The file itself may be well: free memory, or see to its permissions or its disk."
    else:
        what = f"the file is damaged ({' '.join(str(error).split())[:200]})"
        fix = "Put a copy back, or delete it and all after it and run the command that made it."
    return DataError(what, where=str(path), fix=fix)
