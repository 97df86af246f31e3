"""Scores over the checkpoints of runs as line figures (SEA Fig. 3a and Fig. 5): one line a run.

A checkpoint's name ends in a dash and its step ("sft-200"); what stands before it is its run.
"""

import re
from collections.abc import Mapping, Sequence

from diglot.report.curves import LineChart, line_chart
from diglot.report.schema import Curve, MeasureByRun

Runs = Mapping[str, Sequence[tuple[float, str]]]  # run -> (step, checkpoint), in order


def group_checkpoints(names: Sequence[str]) -> Runs:
    """The checkpoints of every run in the order of their steps; empty where names are no such.

    Every name has a step, no step stands twice in a run, and some run has two at least.
    """
    groups: dict[str, list[tuple[float, str]]] = {}
    for name in names:
        found = re.fullmatch(r"(.+)-(\d+)", name)
        if not found:
            return {}
        groups.setdefault(found.group(1), []).append((float(found.group(2)), name))
    steps = [[step for step, _ in group] for group in groups.values()]
    if any(len({*own}) < len(own) for own in steps) or max(map(len, steps), default=0) < 2:
        return {}
    return {run: sorted(group) for run, group in groups.items()}


def checkpoint_charts(measures: Sequence[MeasureByRun], names: Sequence[str]) -> list[LineChart]:
    """A figure of every measure that two checkpoints of a run have at least."""
    runs = group_checkpoints(names)
    charts = []
    for measure in measures:
        series = {
            run: points for run, group in runs.items() if len(points := _points(measure, group)) > 1
        }
        if series:
            curve = Curve.model_construct(
                title=measure.title, x_label="step", y_label=measure.unit, series=series
            )
            charts.append(line_chart(curve, tuple(runs)))
    return charts


def _points(
    measure: MeasureByRun, group: Sequence[tuple[float, str]]
) -> tuple[tuple[float, float], ...]:
    return tuple(
        (step, score.value)
        for step, name in group
        if (score := measure.results.get(name)) and score.value is not None
    )
