"""Raw rows of a dataset folder, and all faults of each: nothing is checked before it is reported.

`Dataset` refuses a bad record at its first fault; here a record is the row as it is stored.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from diglot.core.errors import DataError
from diglot.data.checks.fault import Fault
from diglot.data.checks.model_limits import ModelLimits
from diglot.data.checks.pictures import check_pictures
from diglot.data.checks.regions import check_regions
from diglot.data.checks.texts import check_text
from diglot.data.images import MAX_PIXELS
from diglot.data.schema import from_row
from diglot.data.schema_check import check_columns
from diglot.data.stored_rows import UnreadableRow, list_rows


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What records are checked for."""

    limits: ModelLimits | None = None
    max_pixels: int = MAX_PIXELS


@dataclass(frozen=True)
class RowFaults:
    """The faults of one record."""

    id: str
    faults: tuple[Fault, ...]
    hashes: tuple[int, ...] = ()
    """Perceptual hashes of its good pictures."""


@dataclass(frozen=True)
class ShardRows:
    """Some rows of a shard: what one worker checks at a time."""

    path: Path
    group: int
    rows: int


def list_parts(paths: list[Path]) -> list[ShardRows]:
    """The row groups of all shards in order. A shard without a readable end is one part.

    Raises DataError for columns of another type: no record of such a dataset can be used.
    """
    parts: list[ShardRows] = []
    for path in paths:
        try:
            metadata = pq.read_metadata(path)
        except (OSError, pa.ArrowException):
            parts.append(ShardRows(path, 0, 0))
            continue
        check_columns(metadata.schema.to_arrow_schema(), where=str(path))
        counts = [metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)]
        parts += [ShardRows(path, number, count) for number, count in enumerate(counts)]
    return parts


def read_part(part: ShardRows) -> Iterator[dict[str, Any]]:
    """Its rows as stored, in format 2's columns. Raises DataError where they cannot be read."""
    try:
        rows = list_rows(pq.ParquetFile(part.path).read_row_group(part.group, use_threads=False))
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"shard cannot be read ({error})", where=str(part.path)) from error
    for row in rows:
        if "images" not in row:  # format 1
            image, size = row.pop("image", None), row.pop("size_hw", None)
            row |= {"images": [image] if image else None, "sizes_hw": [size] if size else None}
        yield row


def check_part(part: ShardRows, settings: Settings) -> list[RowFaults]:
    """The faults of every record of a part."""
    try:
        return [check_row(row, settings) for row in read_part(part)]
    except DataError as error:
        fault = Fault("record cannot be used", "", str(error))
        return [RowFaults(f"{part.path.name}, row group {part.group}", (fault,))] * max(
            part.rows, 1
        )


def check_row(row: dict[str, Any], settings: Settings) -> RowFaults:
    """All faults of one record."""
    id = row.get("id") or ""
    if isinstance(row, UnreadableRow):
        return RowFaults(id, tuple(_check_record(row)))
    faults = [] if id else [Fault("id is missing", "id")]
    found, hashes = check_pictures(row, max_pixels=settings.max_pixels)
    faults += [*found, *check_text(row), *check_regions(row)]
    if all(fault.level == "note" for fault in faults):
        faults += _check_record(row)
        faults += settings.limits.find_faults(row) if settings.limits else []
    return RowFaults(id, tuple(faults), tuple(hashes))


def _check_record(row: dict[str, Any]) -> list[Fault]:
    """Whatever the reader refuses and no check above knows."""
    try:
        from_row(row)
    except DataError as error:
        return [Fault("record cannot be used", error.where or "", str(error))]
    return []
