"""A dataset of others as a source: any format that `diglot convert` reads.

Its records are first converted into a hidden dataset within the output folder, as foreign files can
be read from begin to end alone, while slices are read, and resumed, in any order. That takes the
room of the pictures once more, until the output folder's `.synth` is deleted.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diglot.config.parts import build_part
from diglot.core.errors import ConfigError
from diglot.data.convert import Conversion, read_samples, write_split
from diglot.data.rejected import rejected_name
from diglot.data.shards import read_manifest, shard_paths
from diglot.data.writer import DatasetWriter
from diglot.files import check_same_settings, check_writable, lock_file
from diglot.synth.slice_files import STATE, has_samples
from diglot.synth.sources.dataset import DatasetSource

FORMATS, SPLIT = "diglot.data.formats", "train"


def open_foreign(
    path: Path, name: str, options: Mapping[str, Any], out: Path, *, split: str = SPLIT
) -> DatasetSource:
    """The records of `path`, converted into `out/.synth/source-SPLIT` unless a call before did.

    Args:
        path: The main file or folder of the format.
        name: The format: a file of diglot.data.formats, or a dotted path.
        options: Further fields of its Config: images, captions, ...
        out: Output folder of the synthesis; what cannot be used is listed in its
            rejected-SPLIT.jsonl.
        split: Which split of it is to be made.

    Raises ConfigError for a format or option that is none, as the format does, and where the split
    was made from other records.
    """
    settings = {"path": str(path), **options}
    folder, earlier = (out / STATE / source for source in (f"source-{split}", "source"))
    info = {"command": "synth", "from": name, "options": settings}
    if _is_whole(earlier, info):  # of a version that had one for all splits
        folder = earlier
    if not _is_whole(folder, info):
        source = build_part(FORMATS, {"name": name, **settings}, where=f"format {name}")
        with check_writable(out):
            (out / STATE).mkdir(parents=True, exist_ok=True)
        with lock_file(out / STATE / f".source-{split}.lock", wait=False):
            _leave_former(folder, info, out, split)
            _convert(source, folder, info)
    return DatasetSource(folder, SPLIT, listed=folder / rejected_name(SPLIT))


def _leave_former(folder: Path, info: Mapping[str, Any], out: Path, split: str) -> None:
    """Delete the records of a call of which nothing came; those of others are refused."""
    former = read_manifest(folder)["splits"].get(SPLIT)
    if former is None or former["info"] == info:
        return
    if shard_paths(out, split) or has_samples(out / STATE / split):
        check_same_settings(f"split {split!r}", former["info"], info, out)
    shutil.rmtree(folder)


def _convert(source: Any, folder: Path, info: Mapping[str, Any]) -> None:
    done = Conversion()
    with DatasetWriter(folder, split=SPLIT, info=info) as writer:
        reject = writer.open_rejected(anew=True).note
        write_split(read_samples(source, done, reject), writer, done, reject)
    if not done.kept:
        reasons = ", ".join(f"{n} x {reason}" for reason, n in done.rejected.items())
        raise ConfigError(
            "no record can be used",
            got=reasons or "no records",
            where=str(info["options"]["path"]),
            fix=f"See {folder / rejected_name(SPLIT)}." if reasons else None,
        )


def _is_whole(folder: Path, info: Mapping[str, Any]) -> bool:
    entry = read_manifest(folder)["splits"].get(SPLIT, {})
    return bool(entry.get("complete")) and entry.get("info") == info
