"""What a run's files were when its last state was saved, and whether they still are.

A state and a finished run keep digests; a file that a crash emptied, or that was changed since, is
named when the run is taken up, and nothing is built upon it.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from diglot.core.errors import ConfigError
from diglot.core.run_files import ENVIRONMENT, FINISHED, METRICS, SETTINGS
from diglot.files import file_sha256, write_json

# The settings and figures of a run, of which each state continues; metrics only grow.
RECORD = (SETTINGS, ENVIRONMENT, METRICS)


def find_digests(folder: Path, names: Iterable[str] = RECORD) -> dict[str, Any]:
    """{name: [bytes, SHA-256]} of those of a folder's files that are there."""
    paths = [folder / name for name in names if (folder / name).is_file()]
    return {
        path.relative_to(folder).as_posix(): [path.stat().st_size, file_sha256(path)]
        for path in paths
    }


def check_digests(folder: Path, recorded: Mapping[str, Any], *, fix: str) -> None:
    """Raises ConfigError naming the first file that is not as recorded; it may have grown."""
    for name, entry in recorded.items():
        if not _begins_as(folder / name, entry):
            raise ConfigError(
                "the file is not as the run left it: damaged, or changed since",
                where=str(folder / name),
                fix=fix,
            )


def _begins_as(path: Path, entry: Any) -> bool:
    try:
        size, digest = entry
        with open(path, "rb") as file:
            begun = file.read(size)
    except (OSError, TypeError, ValueError):
        return False
    return hashlib.sha256(begun).hexdigest() == digest


def mark_finished(folder: Path) -> None:
    """Record that a run is finished: what its checkpoint and its record are."""
    model = sorted(p.relative_to(folder).as_posix() for p in (folder / "model").rglob("*"))
    write_json(folder / FINISHED, {"files": find_digests(folder, [*model, *RECORD])})


def is_finished(folder: Path) -> bool:
    """Whether a run has come to its end and its checkpoint is whole.

    A checkpoint that is not, or lacks the mark of its end, is written again from the last state.
    Raises ConfigError naming a file of the record that was changed.
    """
    recorded = _read_finished(folder)
    if recorded is None or not (folder / "model").is_dir():
        return False
    record = {name: recorded[name] for name in RECORD if name in recorded}
    check_digests(folder, record, fix="Put a copy back, or delete the run's folder to start over.")
    model = {name: entry for name, entry in recorded.items() if name not in record}
    return all(_begins_as(folder / name, entry) for name, entry in model.items())


def _read_finished(folder: Path) -> dict[str, Any] | None:
    try:
        return dict(json.loads((folder / FINISHED).read_bytes())["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
