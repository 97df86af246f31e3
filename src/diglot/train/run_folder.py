"""The folder of a run: its settings and surroundings, written before step 0, and its results.

config.json        the resolved configuration
environment.json   versions, revision, hardware
metrics.jsonl      one line a step
rejected.jsonl     records that could not be used, with the reason
state/             where to go on after a kill
model/             the result: a VLM checkpoint
"""

import importlib.metadata
import json
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import torch

from diglot.config.parts import as_plain
from diglot.core.errors import ConfigError
from diglot.data.labels import Labels
from diglot.data.records import Dataset
from diglot.files import replace_text
from diglot.train.config import StageConfig

# Settings that may differ when a run goes on: they change no figure.
MAY_CHANGE = {"out", "workers", "checkpoint_every", "features.folder", "labels"}
PACKAGES = ("diglot", "torch", "transformers", "accelerate", "safetensors", "numpy", "tokenizers")


def open_run(config: StageConfig, *, fingerprint: str) -> Path:
    """Make the run's folder, or find it again. Raises ConfigError where it holds another run.

    `fingerprint` names the content of the data: other data under the same path is another run.

    A run that stopped before step 0 binds nothing: its settings may be the mistake.
    """
    folder = Path(config.out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot make the run's folder ({error})", where="out") from error
    told = as_plain(config) | {"data_fingerprint": fingerprint}
    settings, path = json.loads(json.dumps(told)), folder / "config.json"
    before = json.loads(path.read_text()) if path.exists() else None
    if before is not None and (folder / "metrics.jsonl").exists():
        _check_same(before, settings, folder)
    elif before != settings:
        (folder / "rejected.jsonl").unlink(missing_ok=True)
        replace_text(path, json.dumps(settings, indent=2) + "\n")
        replace_text(folder / "environment.json", json.dumps(environment(), indent=2) + "\n")
    return folder


def data_fingerprint(dataset: Dataset, labels: Labels | None) -> str:
    """Names the data that a run learns from: a dataset's split, and its patch labels if any."""
    return dataset.fingerprint + (f" with labels {labels.fingerprint}" if labels else "")


def _check_same(before: dict[str, Any], now: dict[str, Any], folder: Path) -> None:
    then, told = _fields(before), _fields(now)
    for name in sorted(set(then) | set(told)):
        if name not in MAY_CHANGE and then.get(name) != told.get(name):
            raise ConfigError(
                f"this folder holds a run with another {name}",
                expected=json.dumps(then.get(name)),
                got=json.dumps(told.get(name)),
                where=str(folder),
                fix="Give another --out, or delete the folder to start over.",
            )


def _fields(settings: dict[str, Any], above: str = "") -> dict[str, Any]:
    """Every setting by its dotted name; no cache is the same as one that rounds nothing."""
    if not above:
        settings = settings | {"features": settings.get("features") or {"dtype": "float32"}}
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, dict):
            flat |= _fields(value, f"{above}{name}.")
        else:  # a part's bare name is the same as a mapping with its name alone
            flat[above[:-1] if above and name == "name" else above + name] = value
    return flat


def environment() -> dict[str, Any]:
    """Versions, the code's revision and the hardware, for whoever repeats the run."""
    return {
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
        "revision": _git_revision(),
        "platform": platform.platform(),
        "cpu_cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def _git_revision() -> str | None:
    """The revision of the checkout that this code runs from; None where it is installed."""
    checkout = Path(__file__).resolve().parents[3]
    if not (checkout / ".git").exists():
        return None
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:  # no git here
        return None
    return told.stdout.strip() or None
