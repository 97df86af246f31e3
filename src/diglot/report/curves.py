"""Line figures: one line per run over a shared x axis."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from diglot.report.axes import Axis, fit_axis, format_tick
from diglot.report.schema import Curve

Point = tuple[float, float | None]

# Plots are drawn in a square of this side and stretched to their place.
SIDE = 1000
_RAW_POINTS = 600
_SMOOTH_FROM = 60
_SMOOTH_SHARE = 25
_DOTS_UP_TO = 30


@dataclass(frozen=True, kw_only=True)
class Line:
    """One run's line, as SVG path data in a SIDE x SIDE square."""

    run: int  # index into the report's runs
    raw: str
    smooth: str | None  # running mean, where there are many points
    dots: tuple[tuple[float, float], ...]  # (left, top) percent of the plot, where points are few
    gaps: int  # points without a finite value
    first: float | None
    last: float | None
    lowest: float | None


@dataclass(frozen=True, kw_only=True)
class LineChart:
    """Everything a template needs to draw the figure; ticks are (percent, text)."""

    title: str
    x_label: str
    y_label: str
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    lines: tuple[Line, ...]
    window: int | None  # points in the running mean


def line_chart(curve: Curve, runs: tuple[str, ...]) -> LineChart:
    """The figure of `curve`, lines in the order of `runs`."""
    points = [point for series in curve.series.values() for point in series]
    x_axis = fit_axis((x for x, _ in points), tight=True)
    y_axis = fit_axis(y for _, y in points)
    most_points = max((len(series) for series in curve.series.values()), default=0)
    window = max(3, most_points // _SMOOTH_SHARE) if most_points >= _SMOOTH_FROM else None
    return LineChart(
        title=curve.title,
        x_label=curve.x_label,
        y_label=curve.y_label,
        x_ticks=tuple((x_axis.percent(t), format_tick(t)) for t in x_axis.ticks),
        y_ticks=tuple((100 - y_axis.percent(t), format_tick(t)) for t in y_axis.ticks),
        lines=tuple(
            _draw_line(runs.index(run), series, x_axis, y_axis, window)
            for run, series in curve.series.items()
        ),
        window=window,
    )


def _draw_line(
    run: int, series: Sequence[Point], x_axis: Axis, y_axis: Axis, window: int | None
) -> Line:
    series = sorted(series, key=lambda point: point[0])
    finite = [y for _, y in series if y is not None and math.isfinite(y)]
    return Line(
        run=run,
        raw=_draw_path(thin_out(series, _RAW_POINTS), x_axis, y_axis),
        smooth=_draw_path(running_mean(series, window), x_axis, y_axis) if window else None,
        dots=_place_dots(series, x_axis, y_axis) if len(series) <= _DOTS_UP_TO else (),
        gaps=len(series) - len(finite),
        first=finite[0] if finite else None,
        last=finite[-1] if finite else None,
        lowest=min(finite, default=None),
    )


def _place_dots(
    series: Sequence[Point], x_axis: Axis, y_axis: Axis
) -> tuple[tuple[float, float], ...]:
    return tuple(
        (x_axis.percent(x), round(100 - y_axis.percent(y), 3))
        for x, y in series
        if y is not None and math.isfinite(y)
    )


def _draw_path(series: Sequence[Point], x_axis: Axis, y_axis: Axis) -> str:
    """Path data; a point without a finite value lifts the pen."""
    steps, pen_down = [], False
    for x, y in series:
        if y is None or not math.isfinite(y):
            pen_down = False
            continue
        left = round(x_axis.percent(x) * SIDE / 100, 1)
        top = round(SIDE - y_axis.percent(y) * SIDE / 100, 1)
        steps.append(f"{'L' if pen_down else 'M'}{left:g} {top:g}")
        pen_down = True
    return "".join(steps)


def running_mean(series: Sequence[Point], window: int) -> list[Point]:
    """Mean over the `window` points around each, fewer at the ends; gaps stay gaps."""
    half = window // 2
    means: list[Point] = []
    for index, (x, y) in enumerate(series):
        near = [v for _, v in series[max(0, index - half) : index + half + 1] if _is_usable(v)]
        usable = [v for v in near if v is not None]
        means.append((x, sum(usable) / len(usable) if _is_usable(y) and usable else None))
    return thin_out(means, _RAW_POINTS)


def _is_usable(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def thin_out(series: Sequence[Point], most: int) -> list[Point]:
    """At most about `most` points: of each stretch the lowest and the highest, so peaks stay."""
    if len(series) <= most:
        return list(series)
    stride = math.ceil(2 * len(series) / most)
    kept: list[Point] = []
    for start in range(0, len(series), stride):
        stretch = [p for p in series[start : start + stride] if _is_usable(p[1])]
        ends = {min(stretch, key=lambda p: p[1] or 0.0), max(stretch, key=lambda p: p[1] or 0.0)}
        kept.extend(sorted(ends, key=lambda p: p[0]) if stretch else [series[start]])
    return kept
