"""Where a run's figures go: metrics.jsonl (the record) and TensorBoard (the view of it)."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers
from torch.utils.tensorboard import SummaryWriter

from diglot.config.read import flatten_settings
from diglot.core.errors import ConfigError
from diglot.core.run_files import METRICS, read_metrics
from diglot.files import replace_text


class Tracker:
    """Appends one JSON line a step. Lines from `start` on are dropped: they are run again.

    One of a run's processes writes; for the others `active` is False.
    """

    def __init__(
        self,
        folder: Path,
        *,
        start: int,
        active: bool = True,
        others: Callable[..., None] | None = None,
    ) -> None:
        self._active, self._others = active, others
        if not active:
            return
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / METRICS
        _truncate_lines(path, start)
        self._file = open(path, "a")  # noqa: SIM115  # closed in __exit__
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=start or None)

    def __enter__(self) -> "Tracker":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if self._active:
            self._file.close()
            self._board.close()

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Record the figures of one step."""
        if self._others:  # every process calls it; Accelerate's trackers know the main one
            self._others(dict(values), step=step)
        if not self._active:
            return
        self._file.write(json.dumps({"step": step, **values}) + "\n")
        self._file.flush()
        for name, value in values.items():
            self._board.add_scalar(name, value, step)


def check_trackers(names: Sequence[str]) -> None:
    """Raises ConfigError for one that Accelerate does not have, or whose package is missing.

    Accelerate leaves out a missing one without a word.
    """
    for name in names:
        if name not in LOGGER_TYPE_TO_CLASS:
            expected = "one of " + ", ".join(sorted(LOGGER_TYPE_TO_CLASS))
            raise ConfigError(f"no tracker {name!r}", expected=expected, where="trackers")
        if not any(str(found) == name for found in get_available_trackers()):
            raise ConfigError(
                f"the tracker {name!r} is not installed",
                where="trackers",
                fix=f"pip install {name}",
            )


def plain_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Nested settings as dotted names with plain values, as trackers take them."""
    kept = bool | int | float | str
    flat = flatten_settings(settings)
    return {name: v if isinstance(v, kept) else json.dumps(v) for name, v in flat.items()}


def _truncate_lines(path: Path, start: int) -> None:
    kept = [json.dumps(line) + "\n" for line in read_metrics(path) if line["step"] < start]
    replace_text(path, "".join(kept))
