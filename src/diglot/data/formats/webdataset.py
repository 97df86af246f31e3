"""WebDataset: tar archives, with the files of a record in a row under one key.

`KEY.jpg` (or png, webp, ...) is the picture, `KEY.txt` the caption, `KEY.json` further fields: our
own (`record_json`) are read back whole, of others' JSON only "caption" is used. Archives are read
as streams and never unpacked.
"""

import io
import json
import tarfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diglot.config.ranges import PositiveInt
from diglot.core.errors import ConfigError, DataError
from diglot.core.types import Sample
from diglot.data.format import EVERYTHING, Row
from diglot.data.image_files import picture_suffix
from diglot.data.images import SUFFIXES
from diglot.data.raw_record import BoxUnit, RawRecord
from diglot.data.record_json import read_record_fields, record_fields
from diglot.data.tar_members import stream_tar
from diglot.files import replace_file

_MAX_RECORD_BYTES = 256 * 2**20
_OURS = "diglot"


@dataclass(frozen=True, kw_only=True)
class Config:
    """Where the archives lie."""

    path: Path
    """A .tar file, or a folder of them."""
    shard_samples: PositiveInt = 1000
    """Records an archive, when writing."""


def build(config: Config) -> "WebDataset":
    """The format with its settings."""
    return WebDataset(config)


class WebDataset:
    """Reads and writes tar archives."""

    box_unit: BoxUnit = "xyxy"
    holds = EVERYTHING

    def __init__(self, config: Config) -> None:
        self._config = config

    def rows(self, lost: Counter[str]) -> Iterator[Row]:
        """A row a key: its files by suffix."""
        path = self._config.path
        paths = [path] if path.is_file() else sorted(path.glob("*.tar"))
        if not paths:
            raise ConfigError("no .tar file here", where=str(path))
        for archive in paths:
            yield from _read_archive(archive, lost)

    def parse(self, row: Row, lost: Counter[str]) -> Iterator[RawRecord]:
        """The key's record."""
        files: dict[str, bytes] = row.value
        pictures = [suffix for suffix in files if suffix.rsplit(".")[-1] in _PICTURES]
        known = {*pictures, "txt", "json"}
        lost["files of other kinds"] += sum(suffix not in known for suffix in files)
        fields = json.loads(files["json"]) if "json" in files else {}
        ours = isinstance(fields.get(_OURS), dict)
        if not pictures and not ours:
            raise DataError("no image in the record", got=", ".join(files))
        lost["fields of others' JSON"] += len(fields) - ("caption" in fields) if not ours else 0
        record: dict[str, Any] = fields[_OURS] if ours else {"caption": fields.get("caption")}
        if "txt" in files and not ours:
            record["caption"] = files["txt"].decode("utf-8", "replace").strip()
        images = tuple(files[suffix] for suffix in pictures)
        yield RawRecord(
            id=str(record.get("id") or row.id), images=images, **read_record_fields(record)
        )

    @contextmanager
    def write(self, folder: Path, lost: Counter[str]) -> Iterator["WebDatasetWriter"]:
        """A writer of 000000.tar, 000001.tar, ... in `folder`."""
        writer = WebDatasetWriter(folder, self._config.shard_samples)
        yield writer
        writer.flush()


_PICTURES = {suffix.removeprefix(".") for suffix in SUFFIXES}


def _read_archive(path: Path, lost: Counter[str]) -> Iterator[Row]:
    """The keys of an archive in order; a key's files stand in a row."""
    key, files, left = "", {}, _MAX_RECORD_BYTES
    try:
        with stream_tar(path) as archive:
            for member in archive:
                here, suffix = _split_name(member.name)
                if here != key and member.isfile() and suffix:
                    if files:
                        yield Row(f"{path.name}, {key}", files, key)
                    key, files, left = here, {}, _MAX_RECORD_BYTES
                if not member.isfile() or not suffix or member.size > left:
                    lost["files that are none, or too large"] += not member.isdir()
                    continue
                left -= member.size + tarfile.BLOCKSIZE
                content = archive.extractfile(member)
                files[suffix.lower()] = content.read() if content else b""
    except (tarfile.TarError, OSError) as error:
        raise DataError(
            f"archive cannot be read ({error})", where=f"{path}, after {key}"
        ) from error
    if files:
        yield Row(f"{path.name}, {key}", files, key)


def _split_name(path: str) -> tuple[str, str]:
    """The key and the suffix of a file's path."""
    folder, _, name = path.rpartition("/")
    stem, _, suffix = name.partition(".")
    return f"{folder}/{stem}".removeprefix("/").removeprefix("./"), suffix


class WebDatasetWriter:
    """Writes samples into archives of a fixed number each, whole or not at all."""

    def __init__(self, folder: Path, shard_samples: int) -> None:
        self._folder, self._size = folder, shard_samples
        self._samples: list[tuple[str, dict[str, bytes]]] = []
        self._shards = self._count = 0

    def add(self, sample: Sample) -> None:
        """Write one sample."""
        fields = {_OURS: {"id": sample.id, **record_fields(sample)}}
        files: dict[str, bytes] = {}
        for number, image in enumerate(sample.images):
            data = image if isinstance(image, bytes) else image.read_bytes()
            prefix = f"{number:03d}" if len(sample.images) > 1 else ""
            files[prefix + picture_suffix(data)] = data
        files = {name.removeprefix("."): data for name, data in files.items()}
        if not sample.is_conversation:
            files["txt"] = sample.caption.encode("utf-8", "replace")
        files["json"] = json.dumps(fields, ensure_ascii=False, allow_nan=False).encode()
        self._samples.append((f"{self._count:09d}", files))
        self._count += 1
        if len(self._samples) == self._size:
            self.flush()

    def flush(self) -> None:
        """Write the archive of the samples that wait."""
        if not self._samples:
            return
        path = self._folder / f"{self._shards:06d}.tar"
        with replace_file(path) as temporary, tarfile.open(temporary, "w") as archive:
            for key, files in self._samples:
                for suffix, content in files.items():
                    _add_file(archive, f"{key}.{suffix}", content)
        self._samples, self._shards = [], self._shards + 1


def _add_file(archive: Any, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))
