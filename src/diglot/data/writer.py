"""Writing a dataset folder: a split's samples in shards, and what describes them."""

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from diglot.core.errors import ConfigError, DataError
from diglot.core.types import Sample
from diglot.data import shards
from diglot.data.images import image_size
from diglot.data.rejected import Rejected, rejected_name
from diglot.data.row_groups import IdStore
from diglot.data.schema import arrow_schema, row_digest, to_row
from diglot.data.shard_writer import ShardWriter
from diglot.files import check_own_folder, check_same_settings, check_writable, lock_file

SHARD_SAMPLES = 256
_MODULUS = 2**256
# What may lie in a folder before a dataset is begun there.
_BESIDE = (shards.CARD, "rejected*.jsonl")


class DatasetWriter:
    """Appends samples to one split of a dataset folder. Use as a context manager.

    A killed or failed writer leaves its complete shards; the same call again resumes after them:
    `read_ids()` says what is there, `len(writer)` how many. Leaving the block well writes the last,
    perhaps shorter, shard and marks the split complete; a complete split can still be added to.
    Memory does not grow with the records: their ids are kept on the disk.

    `info` is how the data was made (seed, settings; anything JSON): it goes into `dataset.json`,
    and a folder made with another `info` is refused with ConfigError. One where nothing was made
    binds nobody.
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
        self._ids = IdStore()
        self._info = json.loads(json.dumps(info or {}))
        self.former_info: Mapping[str, Any] | None = None
        """How a call before made, or began, the split, once the folder is locked."""
        self._shard_samples = shard_samples
        self._count = self._digest = self._pending = self._regions = 0
        self._open = contextlib.ExitStack()
        self._shards = ShardWriter(
            self.folder,
            self.split,
            arrow_schema(),
            shard_rows=lambda number: shard_samples,
            describe=self._describe_shard,
            options=_storage_options(),
        )

    def __enter__(self) -> "DatasetWriter":
        with check_writable(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        self._open.enter_context(lock_file(self.folder / f".{self.split}.lock", wait=False))
        try:
            self._open.enter_context(self._ids)
            self._resume_shards()
        except BaseException:
            self._open.close()
            raise
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        with self._open:
            if kind is None:
                self._flush_shard()
                self._note_entry(complete=True)

    def __len__(self) -> int:
        return self._count

    @property
    def fingerprint(self) -> str:
        """Names the content of the shards on disk; equals `Dataset.fingerprint` when complete."""
        return f"{self._digest:064x}"

    def read_ids(self) -> Iterator[str]:
        """The ids of what is in whole shards, in order."""
        for number in range(len(self._shards.digests)):
            with pq.ParquetFile(self._shards.path_of(number)) as file:
                yield from file.read(columns=["id"]).column("id").to_pylist()

    def has_id(self, id: str) -> bool:
        """Whether there is a record `id`, whoever wrote it."""
        return self._ids.has_id(id)

    def take_former(self, id: str) -> bool:
        """Whether a former call wrote the record `id`, and it was not asked for since."""
        return self._ids.take_former(id)

    def open_rejected(self, *, anew: bool = False) -> Rejected:
        """The split's list of what was rejected.

        It is begun `anew` by whoever goes through all records again, and where the split holds
        nothing yet: it is of other settings then, or will be made again.
        """
        path = self.folder / rejected_name(self.split)
        return Rejected.begin(path) if anew or not self._count else Rejected(path)

    def add(self, sample: Sample) -> None:
        """Append a sample. Raises DataError where its id is taken, or a size is not the image's."""
        if not isinstance(sample, Sample):
            found = type(sample).__name__
            raise DataError("not a Sample", got=found, where=f"record {self._count}")
        row = to_row(sample)
        _check_sizes(row, sample)
        digest = row_digest(row, self._count)  # refuses what is not text
        if not self._ids.is_new(sample.id):
            raise DataError("two records with the same id", where=f"sample {sample.id!r}")
        self._pending = (self._pending + digest) % _MODULUS
        self._regions += len(sample.regions)
        self._count += 1
        if self._shards.add(row):
            self._count_pending()
            self._note_entry(complete=False)

    def _describe_shard(self, _: Sequence[Mapping[str, Any]]) -> dict[bytes, bytes]:
        shards.check_format(self.folder)
        return {shards.DIGEST_KEY: f"{self._pending:064x}".encode()}

    def _flush_shard(self) -> None:
        self._shards.flush()
        self._count_pending()

    def _count_pending(self) -> None:
        self._digest, self._pending = (self._digest + self._pending) % _MODULUS, 0

    def _note_entry(self, *, complete: bool) -> None:
        entry = {
            "samples": self._count,
            "regions": self._regions,
            "shards": len(self._shards.digests),
            "shard_samples": self._shard_samples,
            "files": self._shards.digests,
            "fingerprint": self.fingerprint,
            "complete": complete,
            "info": self._info,
        }
        shards.update_manifest(self.folder, self.split, entry)

    def _resume_shards(self) -> None:
        """Take up what complete shards are there, however far `dataset.json` had come."""
        entries = shards.read_manifest(self.folder)["splits"]
        entry, paths = entries.get(self.split), shards.shard_paths(self.folder, self.split)
        self.former_info = entry and entry.get("info")
        if entry is None and paths:
            raise ConfigError(
                f"the folder already has shards of split {self.split!r} that diglot did not write",
                where=str(self.folder),
                fix="Choose another folder.",
            )
        check_own_folder(self.folder, marker=shards.MANIFEST, beside=_BESIDE)
        if entry is not None and (entry.get("samples") != 0 or paths):
            _check_same(entry, self._info, self._shard_samples, self.folder / shards.MANIFEST)
        self._shards.resume((entry or {}).get("files"))
        paths = [self._shards.path_of(n) for n in range(len(self._shards.digests))]
        for shard in shards.open_shards(self.folder, paths):
            self._take_shard(shard)
        # A complete split that is only opened again, or not yet added to, stays complete.
        whole = entry is not None and entry.get("complete") and entry.get("samples") == self._count
        self._note_entry(complete=bool(whole))

    def _take_shard(self, shard: shards.Shard) -> None:
        if shard.digest is None:
            raise DataError("shard was not written by diglot", where=str(shard.path))
        with pq.ParquetFile(shard.path) as file:
            table = file.read(columns=["id", "regions.list.element.phrase"])
        self._ids.add_former(table.column("id").to_pylist())
        self._count += table.num_rows
        self._regions += sum(len(regions) for regions in table.column("regions").to_pylist())
        self._digest = (self._digest + shard.digest) % _MODULUS


def _check_sizes(row: dict[str, Any], sample: Sample) -> None:
    for index, (image, size_hw) in enumerate(zip(row["images"], sample.sizes_hw, strict=True)):
        found = image_size(image["bytes"], where=f"sample {sample.id!r}, images[{index}]")
        if found != size_hw:
            raise DataError(
                "size is not the picture's",
                expected=found,
                got=size_hw,
                where=f"sample {sample.id!r}, sizes_hw[{index}]",
            )


def _check_same(entry: dict[str, Any], info: dict[str, Any], size: int, where: Path) -> None:
    check_same_settings("dataset", entry.get("info", {}), info, where)
    if entry.get("shard_samples") != size:
        raise ConfigError(
            "the dataset there has shards of another size",
            expected=entry.get("shard_samples"),
            got=size,
            where=str(where),
        )


def _storage_options() -> dict[str, Any]:
    """Pictures are compressed already, and their bounds would bloat the footer."""
    leaves = _leaf_columns(arrow_schema())
    return {
        "compression": {name: "none" if name.startswith("images.") else "zstd" for name in leaves},
        "use_dictionary": False,
        "write_statistics": ["id"],
    }


def _leaf_columns(kind: pa.DataType | pa.Schema, path: str = "") -> list[str]:
    """Parquet's names of the columns that hold values."""
    if isinstance(kind, pa.DataType) and pa.types.is_list(kind):
        return _leaf_columns(kind.value_type, f"{path}.list.element")
    if isinstance(kind, pa.DataType) and not pa.types.is_struct(kind):
        return [path]
    return [
        leaf
        for field in kind
        for leaf in _leaf_columns(field.type, f"{path}.{field.name}" if path else field.name)
    ]


def write_dataset(
    samples: Iterable[Sample],
    folder: Path,
    *,
    split: str = "train",
    shard_samples: int = SHARD_SAMPLES,
    info: Mapping[str, Any] | None = None,
) -> None:
    """Write all `samples` to a split of `folder`, resuming after what a killed call left.

    `samples` must come in the same order every time: those already there are taken from it and
    compared by their ids. Raises ConfigError, DataError as `DatasetWriter`.
    """
    writer = DatasetWriter(folder, split=split, shard_samples=shard_samples, info=info)
    with writer:
        if isinstance(samples, Sample):
            raise DataError("one Sample in place of many", expected="a list or another iterable")
        source = iter(samples)
        there = (sample.id for sample in islice(source, len(writer)))
        if any(now != before for now, before in zip_longest(there, writer.read_ids())):
            raise DataError(
                "the samples are not those the folder was begun with",
                where=str(folder),
                fix="Choose another folder, or delete this one.",
            )
        for sample in source:
            writer.add(sample)
