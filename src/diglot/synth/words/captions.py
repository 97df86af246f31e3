"""Captions to read words from: datasets, text files of a caption a line, JSON lines."""

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from diglot.core.errors import ConfigError, DataError
from diglot.data import shards
from diglot.data.records import open_dataset
from diglot.data.rejected import Rejected

_BLOCK_BYTES = 1 << 20
_BATCH_ROWS = 4096


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
        return _of_dataset(source, split)
    return _of_text(source) if source.suffix == ".txt" else _of_json_lines(source, rejected)


def _of_dataset(folder: Path, split: str) -> Iterator[str]:
    for path in shards.shard_paths(folder, split):
        try:
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(_BATCH_ROWS, columns=["caption"]):
                    yield from (caption or "" for caption in batch.column(0).to_pylist())
        except (OSError, pa.ArrowException) as error:
            raise DataError(f"shard cannot be read ({error})", where=str(path)) from error


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
