"""The models that runs kept on their way, and their ends, named by their steps."""

from collections.abc import Sequence
from pathlib import Path

from diglot.cli.evaluate_run import name_checkpoints
from diglot.core.errors import ConfigError
from diglot.core.run_files import KEPT, METRICS, read_metrics


def list_kept(runs: Sequence[Path], labels: str | None) -> tuple[list[Path], str]:
    """Every run's kept models in order, then its end; their names are the run's and the step.

    Raises ConfigError for a folder that is no run, or kept none.
    """
    found: list[tuple[Path, str]] = []
    for run, name in zip(runs, name_checkpoints(runs, labels), strict=True):
        kept = sorted((run / KEPT).glob("step-*"))
        if not kept:
            raise ConfigError(
                "the run kept no model on its way",
                where=str(run),
                fix="Train it with --keep_every, or leave out --kept.",
            )
        found += [(folder, f"{name}-{int(folder.name.removeprefix('step-'))}") for folder in kept]
        found.append((run / "model", f"{name}-{_count_steps(run)}"))
    return [folder for folder, _ in found], ",".join(name for _, name in found)


def _count_steps(run: Path) -> int:
    lines = [line for line in read_metrics(run / METRICS) if "lr" in line]
    if not lines or not (run / "model").is_dir():
        raise ConfigError("the run has not come to its end", where=str(run))
    return lines[-1]["step"] + 1
