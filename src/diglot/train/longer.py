"""A run made longer: the same settings with more epochs, or with a later `max_steps`.

The order of the data is a function of the epoch and the step, so the steps that were taken are the
first of the longer run; rates and weights that fall towards the end of a run are not. Where none
does, more steps are exact. Elsewhere `lengthen: stretch` continues with the schedules of a run that
was so long from its start.
"""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diglot.core.errors import ConfigError
from diglot.core.run_files import FINISHED, LENGTHENED, METRICS, SETTINGS, read_metrics
from diglot.files import replace_text, sync_folder
from diglot.train.config import StageConfig
from diglot.train.integrity import check_record, is_marked
from diglot.train.state import newest_state, release_settings

log = logging.getLogger(__name__)

LENGTHS = ("epochs", "max_steps")


def find_lengthening(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """{"epochs": [1, 3]} of the lengths that differ; empty where the run would not be longer."""
    changed = {name: [before[name], now[name]] for name in LENGTHS if before[name] != now[name]}
    none = float("inf")
    shrinks = any((new or none) < (old or none) for old, new in changed.values())
    return {} if shrinks else changed


def lengthen_run(
    folder: Path, before: Mapping[str, Any], settings: Mapping[str, Any], config: StageConfig
) -> None:
    """Make the run in `folder` one of the longer `settings`; those of `before` are its own.

    State, mark and settings change one after the other, each whole: a run that is killed between is
    still that of before, not marked as finished, and the same command continues from there.

    Raises ConfigError, nothing changed, where a schedule depends on the length and `lengthen` does
    not say how to continue, and for a finished run without a whole state of its end.
    """
    changed = find_lengthening(before, settings)
    if config.lengthen == "exact":
        _refuse_schedules(config, changed)
    done = _count_steps(folder)
    entry = {"after_steps": done, **changed, "lengthen": config.lengthen}
    history = [*before.get(LENGTHENED, []), entry]
    release_settings(folder / "state")
    (folder / FINISHED).unlink(missing_ok=True)
    sync_folder(folder)
    text = json.dumps({**settings, LENGTHENED: history}, indent=2)
    replace_text(folder / SETTINGS, text + "\n")
    what = ", ".join(f"{name} {old} to {new}" for name, (old, new) in changed.items())
    log.info("made longer after %d steps: %s (lengthen: %s)", done, what, config.lengthen)


def _refuse_schedules(config: StageConfig, changed: Mapping[str, Any]) -> None:
    """Raises ConfigError where rates or weights depend on how long the run is."""
    optim = config.optim
    members = [config.objective, *config.plus.values(), *config.mix.values()]
    falling = [f"{m.where}.weight" for m in members if m.weight.schedule != "constant"]
    if optim.schedule != "constant":
        falling.append(f"optim.schedule {optim.schedule}")
    if optim.warmup:
        falling.append(f"optim.warmup {optim.warmup:g}")
    if falling:
        raise ConfigError(
            "the run was made for another length: " + ", ".join(falling) + " depend on it",
            where=", ".join(changed),
            fix="--lengthen stretch continues with the schedules of a run so long from its start: "
            "the learning rate rises again to where it would be. Or begin another run with the "
            f"weights of this one: --start_from {config.out}/model --out ANOTHER.",
        )


def _count_steps(folder: Path) -> int:
    """The steps that the newest state has taken. Raises ConfigError as `lengthen_run` does."""
    found = newest_state(folder / "state")
    if not is_marked(folder):
        return found or 0
    check_record(folder)
    taken = len({line["step"] for line in read_metrics(folder / METRICS) if "lr" in line})
    if found != taken:
        raise ConfigError(
            "the run has no state of its end, so it cannot be made longer",
            expected=f"one of step {taken}; a run that early_stop ended has none",
            got="none" if found is None else f"one of step {found}",
            where=str(folder / "state"),
            fix=f"Begin another run with its weights: --start_from {folder}/model --out ANOTHER.",
        )
    return taken
