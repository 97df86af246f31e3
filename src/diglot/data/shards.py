"""The files of a dataset folder: Parquet shards of each split, `dataset.json`, a card."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from diglot.config.paths import MAKE_DATA
from diglot.core.errors import ConfigError, DataError
from diglot.data.rejected import REJECTED, rejected_name
from diglot.data.schema import FORMAT_VERSION
from diglot.data.schema_check import check_columns
from diglot.data.shard_writer import read_footer, unreadable_error
from diglot.files import (
    FileNotes,
    check_readable_folder,
    lock_file,
    remove_left_overs,
    replace_text,
)

MANIFEST = "dataset.json"
CARD = "README.md"
FOOTERS = f".footers-{FORMAT_VERSION}.json"  # what is known of the shards of this format
DIGEST_KEY = b"diglot.digest"
_SPLIT = re.compile(r"[a-z][a-z0-9_]*")
_CARD_MARK = "<!-- written by diglot -->"


@dataclass(frozen=True, kw_only=True)
class Shard:
    """One Parquet file. `digest` is the sum of its rows' digests, None where others wrote it."""

    path: Path
    samples: int
    digest: int | None


def check_split(split: str) -> str:
    """`split` itself. Raises ConfigError unless it can name files and a split of `datasets`."""
    if not _SPLIT.fullmatch(split):
        raise ConfigError("not a split name", expected="lower-case letters, digits, _", got=split)
    return split


def shard_paths(folder: Path, split: str) -> list[Path]:
    """The shards of a split in order, by their names (`train-00000.parquet`)."""
    return sorted(folder.glob(f"{split}-*.parquet"))


def find_shards(folder: Path, split: str) -> list[Path]:
    """The shards of a split, at least one. Raises ConfigError that says what is there instead."""
    check_readable_folder(folder, "dataset folder", fix=MAKE_DATA)
    if paths := shard_paths(folder, check_split(split)):
        return paths
    if split in read_manifest(folder)["splits"]:
        raise empty_error(folder, split)
    if there := ", ".join(splits_in(folder)):
        raise ConfigError(f"no split {split!r}", expected=f"one of: {there}", where=str(folder))
    raise ConfigError(
        "no dataset here: no Parquet shards of ours", where=str(folder), fix=MAKE_DATA
    )


def empty_error(folder: Path, split: str) -> ConfigError:
    """What to raise for a split that is there and has no record."""
    lists = (folder / name for name in (rejected_name(split), REJECTED))
    listed = [path.name for path in lists if path.is_file() and path.stat().st_size]
    return ConfigError(
        f"the split {split!r} has no records",
        where=str(folder),
        fix=f"See {', '.join(listed)} for why, and make it again."
        if listed
        else "Make it again from records that can be used.",
    )


def splits_in(folder: Path) -> list[str]:
    """The splits that have a shard in `folder`, sorted."""
    return sorted({path.name.rsplit("-", 1)[0] for path in folder.glob("*-[0-9]*.parquet")})


def open_shards(folder: Path, paths: list[Path]) -> list[Shard]:
    """What the footers of these shards of `folder` say, their columns checked.

    A footer is read again only where the file has been touched. Raises DataError for one that is no
    readable Parquet file or has other columns.
    """
    notes = FileNotes(folder, FOOTERS, _check_footer)
    found = zip(paths, notes.find(*(path.name for path in paths)), strict=True)
    return [Shard(path=path, samples=n, digest=_read_digest(text)) for path, (n, text) in found]


def _check_footer(path: Path) -> list[Any]:
    metadata = read_footer(path)
    schema = _read_schema(metadata, path)
    check_columns(schema, where=str(path))
    return [metadata.num_rows, (schema.metadata or {}).get(DIGEST_KEY, b"").decode()]


def _read_digest(text: str) -> int | None:
    return int(text, 16) if text else None


def _read_schema(metadata: pq.FileMetaData, path: Path) -> pa.Schema:
    try:
        return metadata.schema.to_arrow_schema()
    except (OSError, pa.ArrowException) as error:
        raise unreadable_error(path, error) from error


def read_manifest(folder: Path) -> dict[str, Any]:
    """`dataset.json`, or an empty one. Raises DataError where it is not ours."""
    path = folder / MANIFEST
    if not path.exists():
        return {"format": "diglot", "format_version": FORMAT_VERSION, "splits": {}}
    try:
        manifest = json.loads(path.read_text("utf-8"))
        known = manifest["format"] == "diglot" and isinstance(manifest["splits"], dict)
        version = int(manifest["format_version"])
    except (ValueError, KeyError, TypeError) as error:
        raise DataError("not a dataset description of diglot's", where=str(path)) from error
    if not known or version > FORMAT_VERSION:
        raise DataError(
            "not a dataset description this version knows",
            expected=f"format diglot, version up to {FORMAT_VERSION}",
            got=f"format {manifest['format']}, version {version}",
            where=str(path),
        )
    return manifest


def check_format(folder: Path) -> None:
    """Raises ConfigError where the folder is of an older format: one folder holds one format."""
    version = read_manifest(folder)["format_version"]
    if version != FORMAT_VERSION:
        raise ConfigError(
            f"the folder is in format {version}, which can be read and no longer written",
            expected=f"format {FORMAT_VERSION}",
            where=str(folder),
            fix="Choose another folder.",
        )


def update_manifest(folder: Path, split: str, entry: dict[str, Any]) -> None:
    """Put a split's entry into `dataset.json` and the card, safe against other writers."""
    with lock_file(folder / ".dataset.lock", wait=True):
        for name in (MANIFEST, CARD):
            remove_left_overs(folder / name)
        manifest = read_manifest(folder)
        manifest["splits"][split] = entry
        replace_text(folder / MANIFEST, json.dumps(manifest, indent=2, sort_keys=True) + "\n")
        _write_card(folder, sorted(manifest["splits"]))


def _write_card(folder: Path, splits: list[str]) -> None:
    """The front matter that lets `datasets.load_dataset(folder)` find every split."""
    path = folder / CARD
    if path.exists() and _CARD_MARK not in path.read_text("utf-8", errors="replace"):
        return
    files = "".join(f"  - split: {s}\n    path: {s}-*.parquet\n" for s in splits)
    replace_text(
        path,
        f"---\nconfigs:\n- config_name: default\n  data_files:\n{files}---\n{_CARD_MARK}\n"
        "Images with captions and grounded regions; `dataset.json` says how they were made.\n",
    )
