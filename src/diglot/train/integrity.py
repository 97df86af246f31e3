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
from diglot.core.run_files import ENVIRONMENT, FINISHED, KEPT, METRICS, SETTINGS
from diglot.core.seals import is_changed, seal_record
from diglot.files import file_sha256, read_kept, write_json, write_kept

NOTED = f"{KEPT}/.digests.json"
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
    """Raises ConfigError naming the first file that is not as recorded; it may have grown.

    A model kept on the way may be removed, whole.
    """
    for name, entry in recorded.items():
        removed = name.startswith(f"{KEPT}/") and not (folder / name).parent.exists()
        if not removed and not _begins_as(folder / name, entry):
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


def note_kept(folder: Path, model: Path) -> None:
    """Record what a model that a run kept on its way is, as long as it is fresh."""
    names = sorted(path.relative_to(folder).as_posix() for path in model.rglob("*"))
    noted = _read_noted(folder) | find_digests(folder, names)
    write_kept(folder / NOTED, KEPT, noted)


def is_noted(folder: Path, model: Path) -> bool:
    """Whether it is recorded what a kept model is; a run may have ended between the two."""
    prefix = model.relative_to(folder).as_posix() + "/"
    return any(name.startswith(prefix) for name in _read_noted(folder))


def _read_noted(folder: Path) -> dict[str, Any]:
    """The files of kept models that are still there, whole or not."""
    noted = read_kept(folder / NOTED, KEPT) or {}
    return {name: entry for name, entry in noted.items() if (folder / name).parent.exists()}


def mark_finished(folder: Path) -> None:
    """Record that a run is finished: what its checkpoint and its record are."""
    model = sorted(p.relative_to(folder).as_posix() for p in (folder / "model").rglob("*"))
    files = find_digests(folder, [*model, *RECORD]) | _read_noted(folder)
    write_json(folder / FINISHED, seal_record({"files": files}))


def is_finished(folder: Path) -> bool:
    """Whether a run has come to its end and its checkpoint is whole.

    A checkpoint that is not, or lacks the mark of its end, is written again from the last state.
    Raises ConfigError naming a file of the record, or of a kept model, that was changed.
    """
    recorded = _read_finished(folder)
    if recorded is None or not (folder / "model").is_dir():
        return False
    _check_record(folder, recorded)
    model = {name: entry for name, entry in recorded.items() if name.startswith("model/")}
    return all(_begins_as(folder / name, entry) for name, entry in model.items())


def check_record(folder: Path) -> None:
    """Raises ConfigError naming a file of a finished run's record, or of a model that it kept on
    its way, that was changed since.
    """
    _check_record(folder, _read_finished(folder) or {})


def _check_record(folder: Path, recorded: Mapping[str, Any]) -> None:
    record = {name: entry for name, entry in recorded.items() if not name.startswith("model/")}
    check_digests(folder, record, fix="Put a copy back, or delete the run's folder to start over.")


def is_marked(folder: Path) -> bool:
    """Whether a run has the mark of its end, whatever became of its checkpoint since."""
    return _read_finished(folder) is not None


def _read_finished(folder: Path) -> dict[str, Any] | None:
    try:
        mark = json.loads((folder / FINISHED).read_bytes())
        return None if is_changed(mark) else dict(mark["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
