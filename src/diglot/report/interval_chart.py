"""Dots with their intervals: values of the runs with their intervals, beside the chance level."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from diglot.report.axes import Axis, fit_axis, format_tick, format_value, unit_axis
from diglot.report.schema import MeasureByRun, Score

_ROW_PX = 18
_TOP_PX = 6
_BOTTOM_PX = 20


@dataclass(frozen=True, kw_only=True)
class DrawnInterval:
    """One dot with its interval; places are percent of the figure's width."""

    run: int  # index into the report's runs
    y_px: float
    at: float
    low: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True)
class IntervalChart:
    """Everything a template needs to draw the figure."""

    height_px: int
    plot_px: int  # height of the plot without the tick labels
    intervals: tuple[DrawnInterval, ...]
    chance: float | None
    ticks: tuple[tuple[float, str], ...]
    description: str  # the figure in words


def measure_axis(measure: MeasureByRun) -> Axis:
    """One axis for a measure, its groups and its chance level: [0, 1] where all fit."""
    scores = [s for r in measure.results.values() for s in (r.score, *r.groups.values())]
    values = [measure.chance, *(v for s in scores for v in (s.value, s.low, s.high))]
    known = [v for v in values if v is not None and math.isfinite(v)]
    if known and min(known) >= 0 and max(known) <= 1:
        return unit_axis()
    return fit_axis(known, ticks=3)


def draw_intervals(
    axis: Axis, scores: Mapping[str, Score], runs: tuple[str, ...], *, chance: float | None
) -> IntervalChart:
    """The figure of `scores` by run name; every run keeps its row, measured or not."""
    plot_px = _TOP_PX * 2 + _ROW_PX * len(runs)
    return IntervalChart(
        height_px=plot_px + _BOTTOM_PX,
        plot_px=plot_px,
        intervals=tuple(
            _place_interval(axis, scores[run], index)
            for index, run in enumerate(runs)
            if run in scores and _finite_or_none(scores[run].value) is not None
        ),
        chance=None if _finite_or_none(chance) is None else axis.percent(chance or 0.0),
        ticks=tuple((axis.percent(t), format_tick(t)) for t in axis.ticks),
        description=_describe_scores(scores, chance),
    )


def _place_interval(axis: Axis, score: Score, run: int) -> DrawnInterval:
    value, low, high = (_finite_or_none(v) for v in (score.value, score.low, score.high))
    assert value is not None
    return DrawnInterval(
        run=run,
        y_px=_TOP_PX + _ROW_PX * (run + 0.5),
        at=axis.percent(value),
        low=None if low is None else axis.percent(low),
        high=None if high is None else axis.percent(high),
    )


def _finite_or_none(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _describe_scores(scores: Mapping[str, Score], chance: float | None) -> str:
    parts = [f"{run} {format_value(s.value)}{interval_text(s)}" for run, s in scores.items()]
    if chance is not None:
        parts.append(f"chance {format_value(chance)}")
    return ", ".join(parts) or "not measured"


def interval_text(score: Score) -> str:
    """ " (0.28 to 0.36)", or nothing where there is no interval."""
    if score.low is None or score.high is None:
        return ""
    return f" ({format_value(score.low)} to {format_value(score.high)})"
