"""Measures that are made already: found again by what they were made of, never by a name."""

import contextlib
import functools
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from diglot import __version__
from diglot.core.seals import is_whole
from diglot.files import file_sha256
from diglot.measure.config import MeasureConfig, resolve_measures

NO_FIGURE = ("row_tokens", "batch_tokens", "memory_mb")  # settings that change none
Measures = dict[str, dict[str, Any]]  # of one checkpoint, by key, as `Measure.to_json` writes them


def measure_key(
    model: Path, fingerprints: Sequence[str], config: MeasureConfig, *, seed: int
) -> str:
    """A digest of a checkpoint's weights, the data, all settings, the seed and diglot's version.

    Of parts that are loaded from local folders the weights count too; of parts of a hub their id
    and revision, of the embedded ones their names, which stand for one file each.
    """
    files = [(path.name, _digest_file(path)) for path in _weight_files(model)]
    settings = resolve_measures(config)
    shared = {k: v for k, v in settings.items() if k not in NO_FIGURE}
    content = json.dumps([files, list(fingerprints), shared, seed, __version__], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def checkpoint_digest(model: Path) -> str:
    """A digest of a checkpoint's own files, as 64 hex digits."""
    files = [(path.name, _digest_file(path)) for path in _weight_files(model)]
    return hashlib.sha256(json.dumps(files).encode()).hexdigest()


def _weight_files(model: Path) -> Iterator[Path]:
    """The checkpoint's files, then those of every local folder that its configuration names."""
    folders = [model]
    for config in sorted(model.glob("*.json")):
        with contextlib.suppress(ValueError):  # a damaged one is found where the model is loaded
            named = _folder_paths(json.loads(config.read_text("utf-8")))
            folders += sorted({Path(path) for path in named})
    for folder in folders:
        yield from sorted(path for path in folder.iterdir() if path.is_file())


def _folder_paths(settings: Any) -> Iterator[str]:
    """Every text under a key `path` or `stock` that is a folder here."""
    if isinstance(settings, Mapping):
        for key, value in settings.items():
            if key in ("path", "stock") and isinstance(value, str) and Path(value).is_dir():
                yield value
            else:
                yield from _folder_paths(value)
    elif isinstance(settings, list):
        for value in settings:
            yield from _folder_paths(value)


def _digest_file(path: Path) -> str:
    state = path.stat()
    return _digest_unchanged(path, state.st_mtime_ns, state.st_size)


@functools.lru_cache(maxsize=4096)
def _digest_unchanged(path: Path, changed_ns: int, size: int) -> str:
    """The file's digest, read once as long as it does not change."""
    return file_sha256(path)


def read_record(path: Path, key: str) -> dict[str, Any] | None:
    """The result of `diglot measure` in a file; None where there is none, a damaged one, or one of
    something else.
    """
    try:
        record = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return record if is_whole(record) and record.get("key") == key else None
