"""Captions to read words from: datasets, text files of a caption a line, JSON lines."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from diglot.core.errors import ConfigError
from diglot.data import shards
from diglot.data.records import open_dataset
from diglot.data.rejected import Rejected
from diglot.data.shard_writer import unreadable_error
from diglot.data.stored_rows import decode_texts

_BLOCK_BYTES = 1 << 20


def check_source(source: Path, split: str) -> int:
    """How many records `source` has. Raises ConfigError, DataError where it cannot be read."""
    if source.is_dir():
        return len(open_dataset(source, split))
    if source.is_file() and source.suffix in (".txt", ".jsonl"):
        with open(source, "rb") as file:
            return sum(block.count(b"\n") for block in iter(lambda: file.read(_BLOCK_BYTES), b""))
    raise ConfigError(
        "no captions here",
        expected="a dataset folder, a .txt file of a caption a line, or a .jsonl file",
        got="no such file or folder" if not source.exists() else "a file of another kind",
        where=str(source),
    )


def read_captions(source: Path, split: str, rejected: Rejected) -> Iterator[str]:
    """Every caption of a checked source in order, one record at a time in memory.

    A line that is no record goes to `rejected`, and "" comes in its place.
    """
    if source.is_dir():
        return _of_dataset(source, split, rejected)
    return _of_text(source) if source.suffix == ".txt" else _of_json_lines(source, rejected)


def _of_dataset(folder: Path, split: str, rejected: Rejected) -> Iterator[str]:
    for path in shards.shard_paths(folder, split):
        with pq.ParquetFile(path) as file:
            for group in range(file.metadata.num_row_groups):
                yield from _read_group(file, group, path, rejected)


def _read_group(file: pq.ParquetFile, group: int, path: Path, rejected: Rejected) -> list[str]:
    """The captions of a row group; "" for what is damaged, which is rejected."""
    none = [""] * file.metadata.row_group(group).num_rows
    if "caption" not in file.schema_arrow.names:
        return none
    try:
        column = file.read_row_group(group, columns=["caption"], use_threads=False).column(0)
    except (OSError, pa.ArrowException) as error:
        damaged = unreadable_error(path, error)
        if getattr(error, "errno", None) or isinstance(error, MemoryError):
            raise damaged from error
        where = f"{path.name}, row group {group}"
        rejected.add(where, damaged.what, where=str(path), detail=str(damaged))
        return none
    return _decode_captions(column, f"{path}, row group {group}", rejected)


def _decode_captions(column: Any, where: str, rejected: Rejected) -> list[str]:
    """The captions; "" for one that is no text, which is rejected."""
    captions = decode_texts(column.combine_chunks())
    for row in np.flatnonzero(captions.is_null().to_numpy(zero_copy_only=False)):
        if column[int(row)].is_valid:
            rejected.add(f"{where}, row {row}", "text is not UTF-8", where=f"{where}, caption")
    return captions.fill_null("").to_pylist()


def _of_text(path: Path) -> Iterator[str]:
    with open(path, encoding="utf-8", errors="replace") as file:
        yield from file


def _of_json_lines(path: Path, rejected: Rejected) -> Iterator[str]:
    with open(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                caption = json.loads(line)["caption"] if line.strip() else ""
                if not isinstance(caption, str):
                    raise TypeError("caption is no text")
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                where = f"{path}:{number}"
                rejected.add(where, 'not a record with a "caption"', detail=str(error)[:200])
                caption = ""
            yield caption
