"""Writing a dataset folder: shards that appear whole or not at all, resumable after a kill."""

import contextlib
import json
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from diglot.core.errors import ConfigError, DataError
from diglot.core.types import Sample
from diglot.data import shards
from diglot.data.images import image_size
from diglot.data.schema import arrow_schema, row_digest, to_row
from diglot.files import locked, replacing

SHARD_SAMPLES = 256
# A random read costs one row group: few enough to be cheap, enough to read fast in order.
ROW_GROUP_SAMPLES = 8
_MODULUS = 2**256


class DatasetWriter:
    """Appends samples to one split of a dataset folder. Use as a context manager.

    A killed or failed writer leaves its complete shards; the same call again goes on after them:
    `ids` holds what is there, `len(writer)` how many. Leaving the block well writes the last,
    perhaps shorter, shard and marks the split complete; a complete split can still be added to.

    `info` is how the data was made (seed, settings; anything JSON): it goes into `dataset.json`,
    and a folder made with another `info` is refused with ConfigError.
    """

    def __init__(
        self,
        folder: Path,
        *,
        split: str = "train",
        shard_samples: int = SHARD_SAMPLES,
        info: Mapping[str, Any] | None = None,
    ) -> None:
        if shard_samples < 1:
            raise ConfigError("shard_samples must be at least 1", got=shard_samples)
        self.folder, self.split = Path(folder), shards.check_split(split)
        self.ids: list[str] = []
        self._known: set[str] = set()
        self._info = json.loads(json.dumps(info or {}))
        self._shard_samples = shard_samples
        self._rows: list[dict[str, Any]] = []
        self._digest = self._pending = self._regions = self._shards = 0
        self._open = contextlib.ExitStack()

    def __enter__(self) -> "DatasetWriter":
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"cannot make the folder ({error})", where=str(self.folder)
            ) from error
        lock = locked(self.folder / f".{self.split}.lock", wait=False)
        self._open.enter_context(lock)
        try:
            self._resume()
        except BaseException:
            self._open.close()
            raise
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        with self._open:
            if kind is None:
                self._flush()
                self._note(complete=True)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def fingerprint(self) -> str:
        """Names the content of the shards on disk; equals `Dataset.fingerprint` when complete."""
        return f"{self._digest:064x}"

    def add(self, sample: Sample) -> None:
        """Append a sample. Raises DataError where its id is taken, or a size is not the image's."""
        where = f"sample {sample.id!r}"
        if sample.id in self._known:
            raise DataError("two records with the same id", where=where)
        row = to_row(sample)
        for index, (image, size_hw) in enumerate(zip(row["images"], sample.sizes_hw, strict=True)):
            found = image_size(image["bytes"], where=f"{where}, images[{index}]")
            if found != size_hw:
                raise DataError(
                    "size is not the picture's",
                    expected=found,
                    got=size_hw,
                    where=f"{where}, sizes_hw[{index}]",
                )
        self._pending = (self._pending + row_digest(row, len(self.ids))) % _MODULUS
        self._regions += len(sample.regions)
        self._rows.append(row)
        self._take(sample.id)
        if len(self._rows) == self._shard_samples:
            self._flush()
            self._note(complete=False)

    def _take(self, id: str) -> None:
        self.ids.append(id)
        self._known.add(id)

    def _flush(self) -> None:
        if not self._rows:
            return
        shards.check_format(self.folder)
        path = self.folder / f"{self.split}-{self._shards:05d}.parquet"
        with replacing(path) as temporary:
            _write_shard(temporary, self._rows, self._pending)
        self._digest = (self._digest + self._pending) % _MODULUS
        self._rows, self._pending = [], 0
        self._shards += 1

    def _note(self, *, complete: bool) -> None:
        entry = {
            "samples": len(self.ids),
            "regions": self._regions,
            "shards": self._shards,
            "shard_samples": self._shard_samples,
            "fingerprint": self.fingerprint,
            "complete": complete,
            "info": self._info,
        }
        shards.update_manifest(self.folder, self.split, entry)

    def _resume(self) -> None:
        """Take up what complete shards are there, however far `dataset.json` had come."""
        for torn in self.folder.glob(f".{self.split}-*.tmp"):
            torn.unlink()
        paths = shards.shard_paths(self.folder, self.split)
        entry = shards.read_manifest(self.folder)["splits"].get(self.split)
        if paths and entry is None:
            raise ConfigError(
                f"the folder already has shards of split {self.split!r} that diglot did not write",
                where=str(self.folder),
                fix="Choose another folder.",
            )
        if entry is not None:
            _check_same(entry, self._info, self._shard_samples, where=str(self.folder))
        for number, path in enumerate(paths):
            self._take_shard(path, number)
        # A complete split that is only opened again, or not yet added to, stays complete.
        whole = (
            entry is not None and entry.get("complete") and entry.get("samples") == len(self.ids)
        )
        self._note(complete=bool(whole))

    def _take_shard(self, path: Path, number: int) -> None:
        if path.name != f"{self.split}-{number:05d}.parquet":
            raise DataError(
                f"a shard is missing before {path.name}",
                where=str(self.folder),
                fix="Delete the shards after the gap, and run again.",
            )
        shard, _ = shards.open_shard(path)
        if shard.digest is None:
            raise DataError("shard was not written by diglot", where=str(path))
        table = pq.ParquetFile(path).read(columns=["id", "regions.list.element.phrase"])
        for id in table.column("id").to_pylist():
            self._take(id)
        self._regions += sum(len(regions) for regions in table.column("regions").to_pylist())
        self._digest = (self._digest + shard.digest) % _MODULUS
        self._shards += 1


def _check_same(entry: dict[str, Any], info: dict[str, Any], size: int, *, where: str) -> None:
    before, now = entry.get("info", {}), info
    other = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
    if other:
        key = other[0]
        raise ConfigError(
            f"the dataset there was made with other settings: {', '.join(other)}",
            expected=f"{key} = {before.get(key)!r} to go on with it",
            got=repr(now.get(key)),
            where=where,
            fix="Choose another folder, or delete this one.",
        )
    if entry.get("shard_samples") != size:
        raise ConfigError(
            "the dataset there has shards of another size",
            expected=entry.get("shard_samples"),
            got=size,
            where=where,
        )


def _write_shard(path: Path, rows: list[dict[str, Any]], digest: int) -> None:
    schema = arrow_schema()
    schema = schema.with_metadata(
        {**(schema.metadata or {}), shards.DIGEST_KEY: f"{digest:064x}".encode()}
    )
    table = pa.Table.from_pylist(rows, schema=schema)
    compression = {
        leaf: "none" if leaf.startswith("images.") else "zstd" for leaf in _leaves(schema)
    }
    pq.write_table(
        table,
        path,
        row_group_size=ROW_GROUP_SAMPLES,
        # Pictures are compressed already, and their bounds would bloat the footer.
        compression=compression,  # pyright: ignore[reportArgumentType]
        use_dictionary=False,
        write_statistics=["id"],  # pyright: ignore[reportArgumentType]
    )


def _leaves(kind: pa.DataType | pa.Schema, path: str = "") -> list[str]:
    """Parquet's names of the columns that hold values."""
    if isinstance(kind, pa.DataType) and pa.types.is_list(kind):
        return _leaves(kind.value_type, f"{path}.list.element")
    if isinstance(kind, pa.DataType) and not pa.types.is_struct(kind):
        return [path]
    return [
        leaf
        for field in kind
        for leaf in _leaves(field.type, f"{path}.{field.name}" if path else field.name)
    ]


def write_dataset(
    samples: Iterable[Sample],
    folder: Path,
    *,
    split: str = "train",
    shard_samples: int = SHARD_SAMPLES,
    info: Mapping[str, Any] | None = None,
) -> None:
    """Write all `samples` to a split of `folder`, going on after what a killed call left.

    `samples` must come in the same order every time: those already there are taken from it and
    compared by their ids. Raises ConfigError, DataError as `DatasetWriter`.
    """
    writer = DatasetWriter(folder, split=split, shard_samples=shard_samples, info=info)
    with writer:
        source = iter(samples)
        there = [sample.id for sample in islice(source, len(writer))]
        if there != writer.ids:
            raise DataError(
                "the samples are not those the folder was begun with",
                where=str(folder),
                fix="Choose another folder, or delete this one.",
            )
        for sample in source:
            writer.add(sample)
