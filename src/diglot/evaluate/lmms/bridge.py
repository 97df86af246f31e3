"""Checkpoints through lmms-eval: tasks by group, results as measures, and the papers' averages."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diglot.core.paper_tables import group_means
from diglot.core.result import Estimate, Measure, side_by_side
from diglot.evaluate.lmms.figures import Figure
from diglot.evaluate.lmms.run import SAMPLES, LmmsSettings, run_tasks
from diglot.measure.kept import checkpoint_digest

Results = Mapping[str, Mapping[str, float]]  # by task and metric


@dataclass(frozen=True, kw_only=True)
class LmmsTasks:
    """What is asked of every checkpoint: figures of bundled tasks, and local ones."""

    figures: tuple[Figure, ...] = ()
    local: tuple[str, ...] = ()
    include: Path | None = None
    """The folder of the local tasks."""
    items: str = ""
    """Digest of the local tasks' items."""

    @property
    def names(self) -> list[str]:
        """lmms-eval's names of all tasks."""
        return list(dict.fromkeys([*(figure.task for figure in self.figures), *self.local]))


def run_checkpoint(
    checkpoint: Path, label: str, tasks: LmmsTasks, out: Path, settings: LmmsSettings, version: str
) -> dict[str, dict[str, Any]]:
    """One checkpoint's measures by key, as `core.result` writes them."""
    about = {"weights": checkpoint_digest(checkpoint), "lmms": version, "items": tasks.items}
    results = run_tasks(checkpoint, tasks.names, out, settings, about=about, include=tasks.include)
    return {measure.key: measure.to_json(label) for measure in list_measures(results, tasks)}


def join_runs(runs: Sequence[Mapping[str, Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """The measures of several checkpoints side by side."""
    return list(side_by_side(runs).values())


def list_measures(results: Results, tasks: LmmsTasks) -> Iterator[Measure]:
    """Every figure in per cent, the papers' averages of them, and the local tasks' metrics.

    Raises DataError where lmms-eval left a figure out.
    """
    columns = {
        figure.column: figure.value(results.get(figure.task, {})) for figure in tasks.figures
    }
    for figure in tasks.figures:
        what = f"lmms-eval's {' + '.join(figure.metrics)} of {figure.task}"
        count = int(results[figure.task].get(SAMPLES, 0))
        value = columns[figure.column]
        yield _make_measure(figure.task, figure.column, value, what, figure.metrics, count)
    for group, value in group_means(columns).items():
        if value is not None:
            what = "The plain mean of the three groups." if group == "All" else "The plain mean."
            yield _make_measure(f"average.{group.lower()}", f"{group}, average", value, what, (), 0)
    for task in tasks.local:
        own = dict(results.get(task, {}))
        count = int(own.pop(SAMPLES, 0))
        for metric, value in own.items():
            title = f"{task.removeprefix('diglot_')}, written: {metric} (lmms-eval)"
            key = metric.lower().replace(" ", "_")
            yield _make_measure(task, title, 100 * value, f"The mean {metric}.", (key,), count)


def _make_measure(
    task: str, title: str, value: float, what: str, metrics: Sequence[str], count: int
) -> Measure:
    return Measure(
        key=".".join(["lmms", task, *(m.replace(" ", "_") for m in metrics)]),
        title=title,
        what=what,
        unit="per cent",
        higher_is_better=True,
        chance=None,
        estimate=Estimate(value=value, low=None, high=None, n=count),
    )
