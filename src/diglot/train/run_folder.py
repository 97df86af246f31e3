"""The folder of a run: its settings and surroundings, written before step 0, and its results.

config.json        the resolved configuration
environment.json   versions, revision, hardware
metrics.jsonl      one line a step
rejected.jsonl     records that could not be used, with the reason
state/             where to resume after a kill
model/             the result: a VLM checkpoint
kept/              models on the way there, of keep_every
finished.json      that the run has come to its end, with the digests of its files
"""

import hashlib
import importlib.metadata
import json
import logging
import os
import platform
import subprocess
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch

import diglot
from diglot.config.parts import as_plain
from diglot.config.read import flatten_settings
from diglot.core.errors import ConfigError
from diglot.core.run_files import (
    ENVIRONMENT,
    FINISHED,
    LENGTHENED,
    METRICS,
    RUN_ALONE,
    SETTINGS,
    STARTS,
)
from diglot.data.rejected import REJECTED, Rejected
from diglot.files import (
    FileNotes,
    check_own_folder,
    check_writable,
    lock_file,
    remove_left_overs,
    replace_text,
    sample_sha256,
)
from diglot.models.checkpoint import learned_files
from diglot.train.config import StageConfig, resolve_stage, stage_config
from diglot.train.longer import find_lengthening, lengthen_run

log = logging.getLogger(__name__)

# What may lie in a folder before a run begins there: of a comparison's job, of a setting's scores.
BESIDE = ("log.txt", "failed.json", REJECTED, "a_score.json", "c_score.json")
# Settings that may differ when a run resumes: they change no figure.
MAY_CHANGE = {
    *("out", "workers", "worker_start", "checkpoint_every", "features.folder", "labels"),
    *("trackers", "keep_every", "lengthen"),
}
PACKAGES = ("torch", "transformers", "accelerate", "safetensors", "numpy", "tokenizers")


def open_run(config: StageConfig, *, fingerprint: str, remade: Collection[str] = ()) -> Path:
    """Make the run's folder, or find it again. Raises ConfigError where it holds another run.

    `fingerprint` names the content of the data: other data under the same path is another run, as
    is one that starts from other weights (`_digest_starts`), but for what may yet be `remade`.

    A run that stopped before step 0 may be begun again with other settings; later it may be made
    longer (`train.longer`).
    """
    folder = _make_folder(config.out)
    states = (folder / "state").glob("step-*/state.json")
    own = (folder / name for name in (SETTINGS, ENVIRONMENT, METRICS, FINISHED, "model"))
    for path in (*own, *states):
        remove_left_overs(path)
    described = as_plain(config) | {"data_fingerprint": fingerprint}
    before = _read_settings(folder)
    described |= {STARTS: _digest_starts(config, folder, but=remade)}
    settings, path = json.loads(json.dumps(described)), folder / SETTINGS
    if before is not None and (folder / METRICS).exists():
        complete = _complete_settings(before, folder)
        longer = find_lengthening(complete, settings)
        _check_same(complete, settings, folder, but=frozenset(longer))
        _warn_of_version(folder)
        if longer:
            lengthen_run(folder, {LENGTHENED: [], **before, **complete}, settings, config)
    elif before != settings or not (folder / ENVIRONMENT).exists():  # killed between the two
        Rejected.begin(folder / REJECTED)
        replace_text(path, json.dumps(settings, indent=2) + "\n")
        replace_text(folder / ENVIRONMENT, json.dumps(describe_environment(), indent=2) + "\n")
    return folder


def _digest_starts(
    config: StageConfig, folder: Path, *, but: Collection[str] = ()
) -> dict[str, str]:
    """What names the content of every local folder of weights that a run starts from.

    A file is read once as long as it is not touched.
    """
    starts = {"start_from": config.start_from, "start_language": config.start_language}
    files = {name: learned_files(Path(start)) for name, start in starts.items() if start}
    model = config.model
    parts = {"language": model.language.path, "encoder": model.encoder.settings.get("path")}
    parts = {"stock": model.stock} if model.stock else parts
    for name, path in parts.items():
        if path and Path(path).is_dir():
            files[name] = sorted(Path(path).glob("*.safetensors"))
    notes = FileNotes(folder, ".starts.json", sample_sha256)
    return {name: _digest_files(paths, notes) for name, paths in files.items() if name not in but}


def _digest_files(paths: Sequence[Path], notes: FileNotes) -> str:
    digests = notes.find(*(str(path.absolute()) for path in paths))
    named = [[path.name, digest] for path, digest in zip(paths, digests, strict=True)]
    return hashlib.sha256(json.dumps(named).encode()).hexdigest()


@contextmanager
def lock_run(folder: Path, *, active: bool) -> Iterator[None]:
    """Keep other runs out of the folder; of a run's processes one is `active`.

    Raises ConfigError where another run is at work there.
    """
    with lock_file(_make_folder(folder) / ".run.lock", wait=False) if active else nullcontext():
        yield


def _make_folder(out: str | Path) -> Path:
    with check_writable(Path(out)):
        Path(out).mkdir(parents=True, exist_ok=True)
    return Path(out)


def _read_settings(folder: Path) -> dict[str, Any] | None:
    """The settings of the run in a folder, if there is one.

    Raises ConfigError where they cannot be read, or the folder holds other things: a checkpoint
    has a config.json too.
    """
    path = folder / SETTINGS
    if not path.exists():
        check_own_folder(folder, marker=path.name, beside=BESIDE)
        return None
    try:
        settings = json.loads(path.read_text("utf-8"))
        ours = "data_fingerprint" in settings
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(
            f"the settings of the run cannot be read ({error})",
            where=str(path),
            fix="Put a copy back, or delete the run's folder to start over.",
        ) from error
    if not ours:
        raise ConfigError(
            "the folder holds a config.json that is no run's",
            expected="an empty folder, or that of a run",
            where=str(folder),
            fix="Give another --out.",
        )
    return settings


def _complete_settings(before: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The settings of a run, those that it was begun without at their defaults.

    Raises ConfigError where they are of an earlier version and can be read no longer.
    """
    plain = {name: value for name, value in before.items() if name not in RUN_ALONE}
    try:
        stage = resolve_stage(stage_config(plain))
    except ConfigError as error:
        raise ConfigError(
            f"the run's settings can be read no longer: {error}",
            where=str(folder / SETTINGS),
            fix="Resume it with the version that began it (environment.json), or give another "
            "--out.",
        ) from error
    now = json.loads(json.dumps(as_plain(stage)))
    alone = ("data_fingerprint", STARTS)
    return now | {name: before[name] for name in alone if name in before}


def _warn_of_version(folder: Path) -> None:
    """Say where a run was begun by another version: its figures may change from here on."""
    try:
        packages = json.loads((folder / ENVIRONMENT).read_bytes())["packages"]
        begun = packages["diglot"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    if begun != diglot.__version__:
        message = "%s was begun by diglot %s and is resumed by %s; see its changelog"
        log.warning(message, folder, begun, diglot.__version__)


def _check_same(
    before: dict[str, Any], now: dict[str, Any], folder: Path, *, but: frozenset[str]
) -> None:
    then, given = _flatten_fields(before), _flatten_fields(now)
    names = {*then, *given} - MAY_CHANGE - but
    for name in sorted(names):
        if name.startswith(STARTS) and not (name in then and name in given):
            continue  # of an earlier version, or it may yet be made again
        if then.get(name) != given.get(name):
            raise ConfigError(
                f"this folder holds a run with another {name}",
                expected=json.dumps(then.get(name)),
                got=json.dumps(given.get(name)),
                where=str(folder / SETTINGS),
                fix="Give another --out, or delete the folder to start over.",
            )


def _flatten_fields(settings: dict[str, Any]) -> dict[str, Any]:
    """Every setting by its dotted name; no cache is the same as one that rounds nothing."""
    settings = settings | {"features": settings.get("features") or {"dtype": "float32"}}
    # a part's bare name is the same as a mapping with its name alone
    return {name.removesuffix(".name"): value for name, value in flatten_settings(settings).items()}


def describe_environment() -> dict[str, Any]:
    """Versions, the code's revision and the hardware, for whoever repeats the run."""
    others = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {
        "python": platform.python_version(),
        # of this code: a checkout may have moved on since it was installed
        "packages": {"diglot": diglot.__version__, **others},
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
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:  # no git here
        return None
    return answer.stdout.strip() or None
