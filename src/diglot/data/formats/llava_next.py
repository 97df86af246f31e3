"""LLaVA-NeXT's data (Li et al. 2024): Parquet shards of {id, image, conversations, data_source}.

`image` is a picture of Hugging Face `datasets` ({bytes, path}); see `_llava` for `conversations`.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from diglot.core.errors import ConfigError, DataError
from diglot.core.types import Sample
from diglot.data.format import CAPTION, CONVERSATION, Row
from diglot.data.formats import _llava
from diglot.data.raw_record import BoxUnit, RawRecord
from diglot.data.stored_rows import UnreadableRow, list_rows

_BATCH_ROWS, _SHARD_ROWS = 16, 256
_IMAGE = pa.struct({"bytes": pa.binary(), "path": pa.string()})
_TURN = pa.struct({"from": pa.string(), "value": pa.string()})
_SCHEMA = pa.schema({"id": pa.string(), "image": _IMAGE, "conversations": pa.list_(_TURN)})


@dataclass(frozen=True, kw_only=True)
class Config:
    """Where the shards lie, and how to read them."""

    path: Path
    """A Parquet file, or a folder of them (also below data/)."""
    captions: bool = False
    """Read answers as captions."""
    number_ids: bool = False
    """Add the record's number to its id, where ids repeat."""


def build(config: Config) -> "LlavaNextShards":
    """The format with its settings."""
    return LlavaNextShards(config)


class LlavaNextShards:
    """Reads and writes shards of conversations."""

    box_unit: BoxUnit = "xyxy"
    holds = frozenset((CAPTION, CONVERSATION))

    def __init__(self, config: Config) -> None:
        self._config = config

    def rows(self, lost: Counter[str]) -> Iterator[Row]:
        """A row a record, a few of a shard in memory at a time."""
        number = 0
        for path in _find_shards(self._config.path):
            for value in _read_shard(path):
                number += 1
                yield Row(f"{path.name}, record {number}", value, number=number)

    def parse(self, row: Row, lost: Counter[str]) -> Iterator[RawRecord]:
        """The row's record."""
        record, config = row.value, self._config
        if isinstance(record, UnreadableRow):
            raise record.error(row.where)
        lost["sources of records"] += bool(record.get("data_source"))
        image = record.get("image")
        if image is not None and not image.get("bytes"):
            raise DataError("no image in the record", expected="its bytes", got="a path alone")
        images = () if image is None else (image["bytes"],)
        id = _llava.record_id(record, row.number, number_ids=config.number_ids)
        yield _llava.read_conversation(record, images, id, captions=config.captions)

    @contextmanager
    def write(self, folder: Path, lost: Counter[str]) -> Iterator["LlavaNextWriter"]:
        """A writer of one Parquet file in `folder`."""
        with pq.ParquetWriter(folder / "train-00000-of-00001.parquet", _SCHEMA) as file:
            writer = LlavaNextWriter(file, lost)
            yield writer
            writer.flush()


def _find_shards(path: Path) -> list[Path]:
    """The files in order. Raises ConfigError where there is none."""
    found = (
        [path]
        if path.is_file()
        else sorted([*path.glob("*.parquet"), *path.glob("data/*.parquet")])
    )
    if not found:
        raise ConfigError("no Parquet file here", where=str(path))
    return found


def _read_shard(path: Path) -> Iterator[dict[str, Any]]:
    try:
        for batch in pq.ParquetFile(path).iter_batches(_BATCH_ROWS):
            yield from list_rows(batch)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"shard cannot be read ({error})", where=str(path)) from error


class LlavaNextWriter:
    """Writes samples in row groups."""

    def __init__(self, file: pq.ParquetWriter, lost: Counter[str]) -> None:
        self._file, self._lost = file, lost
        self._rows: list[dict[str, Any]] = []

    def add(self, sample: Sample) -> None:
        """Write one sample. Raises DataError for several images."""
        pictures = sample.images
        if len(pictures) > 1:
            raise DataError("more images than the format holds", expected=1, got=len(pictures))
        data = [p if isinstance(p, bytes) else p.read_bytes() for p in pictures]
        image = {"bytes": data[0], "path": None} if data else None
        turns = _llava.turns_json(sample, self._lost)
        self._rows.append({"id": sample.id, "image": image, "conversations": turns})
        if len(self._rows) == _SHARD_ROWS:
            self.flush()

    def flush(self) -> None:
        """Write the rows that wait."""
        if self._rows:
            self._file.write_table(pa.Table.from_pylist(self._rows, schema=_SCHEMA))
        self._rows = []
