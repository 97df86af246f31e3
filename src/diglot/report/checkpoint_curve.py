"""Scores over the kept checkpoints of runs, as a file: one line a metric and run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from diglot.report.checkpoints import group_checkpoints
from diglot.report.figure_file import write_figure

WAYS = ("likelihood", "generate")
LINES = ("-", "--", ":", "-.")
Points = Sequence[tuple[float, Mapping[str, Any]]]  # (x, score)


def write_checkpoint_curve(record: Mapping[str, Any], path: Path) -> None:
    """Draw every task's own metric of an evaluation's record, with its interval and chance.

    The x axis is the step that ends each checkpoint's name ("sft-200"), where all have one, else
    their order. Raises ConfigError where the file cannot be written.
    """
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.subplots()
    names = list(record["runs"])
    runs = group_checkpoints(names)
    groups = runs or {"": list(enumerate(names))}
    for number, measure in enumerate(own_metrics(record["measures"])):
        for place, (run, group) in enumerate(groups.items()):
            results = [(x, measure["results"].get(name) or {}) for x, name in group]
            points = [(x, r) for x, r in results if r.get("value") is not None]
            title = f"{measure['title']}, {run}" if len(groups) > 1 else measure["title"]
            _draw_line(axes, points, f"C{number % 10}", LINES[place % len(LINES)], title)
        if measure["chance"] is not None:
            axes.axhline(measure["chance"], color=f"C{number % 10}", linestyle=":", linewidth=1)
    axes.set_xlabel("number of the checkpoint" if runs else "checkpoint")
    if not runs:
        axes.set_xticks(range(len(names)), names, rotation=20, ha="right")
    axes.set_ylabel("score, with 95% interval; dotted: chance")
    axes.legend(fontsize="small")
    write_figure(path, figure)


def _draw_line(axes: Axes, points: Points, colour: str, line: str, title: str) -> None:
    places = [x for x, _ in points]
    values = [r["value"] for _, r in points]
    axes.plot(places, values, marker="o", color=colour, linestyle=line, label=title)
    if points and all(r["low"] is not None for _, r in points):
        lows, highs = [r["low"] for _, r in points], [r["high"] for _, r in points]
        axes.fill_between(places, lows, highs, color=colour, alpha=0.15, linewidth=0)


def own_metrics(measures: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those that stand for a task in a way ("counting.likelihood"), none of its further metrics."""
    return [measure for measure in measures if measure["key"].split(".")[-1] in WAYS]
