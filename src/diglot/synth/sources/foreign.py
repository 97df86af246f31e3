"""A dataset of others as a source: any format that `diglot convert` reads.

Its records are first converted into a hidden dataset within the output folder, as foreign files can
be read from begin to end alone, while slices are read, and resumed, in any order. That takes the
room of the pictures once more, until the output folder's `.synth` is deleted.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diglot.config.parts import build_part
from diglot.core.errors import ConfigError
from diglot.data.convert import Conversion, read_samples, write_split
from diglot.data.rejected import REJECTED
from diglot.data.shards import read_manifest
from diglot.data.writer import DatasetWriter
from diglot.synth.sources.dataset import DatasetSource

FORMATS, SPLIT = "diglot.data.formats", "train"


def open_foreign(path: Path, name: str, options: Mapping[str, Any], out: Path) -> DatasetSource:
    """The records of `path`, converted into `out/.synth/source` unless a call before did.

    Args:
        path: The main file or folder of the format.
        name: The format: a file of diglot.data.formats, or a dotted path.
        options: Further fields of its Config: images, captions, ...
        out: Output folder of the synthesis; what cannot be used is listed in its rejected.jsonl.

    Raises ConfigError for a format or option that is none, and as the format does.
    """
    settings = {"path": str(path), **options}
    folder = out / ".synth" / "source"
    info = {"command": "synth", "from": name, "options": settings}
    if not _is_whole(folder, info):
        source = build_part(FORMATS, {"name": name, **settings}, where=f"format {name}")
        done = Conversion()
        with DatasetWriter(folder, split=SPLIT, info=info) as writer:
            reject = writer.open_rejected().note
            write_split(read_samples(source, done, reject), writer, done, reject)
        if not done.kept:
            reasons = ", ".join(f"{n} x {reason}" for reason, n in done.rejected.items())
            raise ConfigError(
                "no record can be used",
                got=reasons or "no records",
                where=str(path),
                fix=f"See {folder / REJECTED}." if reasons else None,
            )
    return DatasetSource(folder, SPLIT, listed=folder / REJECTED)


def _is_whole(folder: Path, info: Mapping[str, Any]) -> bool:
    entry = read_manifest(folder)["splits"].get(SPLIT, {})
    return bool(entry.get("complete")) and entry.get("info") == info
