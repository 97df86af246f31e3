"""Scores over the kept checkpoints of a run, in the order given: one line a metric."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from diglot.report.figure_file import write_figure

WAYS = ("likelihood", "generate")


def write_checkpoint_curve(record: Mapping[str, Any], path: Path) -> None:
    """Draw every task's own metric of an evaluation's record, with its interval and chance.

    The x axis is the number that ends each checkpoint's name ("step-200"), where all end in
    different ones, else their order. Raises ConfigError where the file cannot be written.
    """
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.subplots()
    runs = list(record["runs"])
    xs, numbered = checkpoint_positions(runs)
    for number, measure in enumerate(own_metrics(record["measures"])):
        results = [measure["results"].get(run) or {} for run in runs]
        known = [(x, r) for x, r in zip(xs, results, strict=True) if r.get("value") is not None]
        values = [r["value"] for _, r in known]
        places, colour = [x for x, _ in known], f"C{number % 10}"
        axes.plot(places, values, marker="o", color=colour, label=measure["title"])
        if known and all(r["low"] is not None for _, r in known):
            lows, highs = [r["low"] for _, r in known], [r["high"] for _, r in known]
            axes.fill_between(places, lows, highs, color=colour, alpha=0.15, linewidth=0)
        if measure["chance"] is not None:
            axes.axhline(measure["chance"], color=colour, linestyle=":", linewidth=1)
    axes.set_xlabel("checkpoint" if not numbered else "number of the checkpoint")
    if not numbered:
        axes.set_xticks(xs, runs, rotation=20, ha="right")
    axes.set_ylabel("score, with 95% interval; dotted: chance")
    axes.legend(fontsize="small")
    write_figure(path, figure)


def checkpoint_positions(runs: Sequence[str]) -> tuple[list[float], bool]:
    """Where each checkpoint stands on the axis, and whether by the number in its name."""
    found = [re.search(r"(\d+)$", run) for run in runs]
    numbers = [float(match.group()) for match in found if match]
    if len(numbers) == len(runs) == len(set(numbers)) and len(runs) > 1:
        return numbers, True
    return [float(n) for n in range(len(runs))], False


def own_metrics(measures: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those that stand for a task in a way ("counting.likelihood"), none of its further metrics."""
    return [measure for measure in measures if measure["key"].split(".")[-1] in WAYS]
