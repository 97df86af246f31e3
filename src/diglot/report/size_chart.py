"""Score against number of training samples, on a logarithmic axis: one line a row of recipes."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from diglot.report.axes import Axis, fit_axis, format_tick, format_value, unit_axis
from diglot.report.curves import SIDE
from diglot.report.schema import Score

_MOST_TICKS = 9
Scores = Mapping[int, Score]  # number of samples -> mean over seeds, lowest and highest seed


@dataclass(frozen=True, kw_only=True)
class Dot:
    """One score, places in percent of the plot from the left and from the top."""

    left: float
    top: float
    low: float | None  # top of the worst and the best seed
    high: float | None


@dataclass(frozen=True, kw_only=True)
class SizeLine:
    """One row's line, as SVG path data in a SIDE x SIDE square, with its dots."""

    run: int  # index into the rows
    path: str
    band: str  # from lowest to highest seed, where there are several
    dots: tuple[Dot, ...]


@dataclass(frozen=True, kw_only=True)
class SizeChart:
    """Everything a template needs to draw the figure; ticks are (percent, text)."""

    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    chance: float | None  # percent from the top
    lines: tuple[SizeLine, ...]
    description: str  # the figure in words


def size_chart(
    scores: Mapping[str, Scores], rows: Sequence[str], *, chance: float | None
) -> SizeChart:
    """The figure of `scores` by row, in the order of `rows`; a row without scores has no line."""
    sizes = sorted({size for by_size in scores.values() for size in by_size})
    y_axis = _score_axis(scores, chance)
    x_axis = _size_axis(sizes)
    return SizeChart(
        x_ticks=_size_ticks(sizes, x_axis),
        y_ticks=tuple((100 - y_axis.percent(t), format_tick(t)) for t in y_axis.ticks),
        chance=None if chance is None else _top_percent(y_axis, chance),
        lines=tuple(
            _draw_line(index, scores[row], x_axis, y_axis)
            for index, row in enumerate(rows)
            if scores.get(row)
        ),
        description=_describe_scores(scores),
    )


def _score_axis(scores: Mapping[str, Scores], chance: float | None) -> Axis:
    every = [s for by_size in scores.values() for s in by_size.values()]
    known = [v for s in every for v in (s.value, s.low, s.high, chance) if v is not None]
    axis = fit_axis(known)
    return unit_axis() if axis.low <= 0 and axis.high >= 1 and max(known) <= 1 else axis


def _size_axis(sizes: Sequence[int]) -> Axis:
    """From the smallest to the largest size, in their logarithms."""
    ends = [math.log(size) for size in sizes] or [0.0]
    low, high = ends[0], ends[-1]
    pad = 0.5 if low == high else 0.0
    return Axis(low=low - pad, high=high + pad, ticks=())


def _size_ticks(sizes: Sequence[int], axis: Axis) -> tuple[tuple[float, str], ...]:
    """The sizes that were run, or evenly fewer of them."""
    stride = math.ceil(len(sizes) / _MOST_TICKS) or 1
    kept = sizes[::-1][::stride][::-1]
    return tuple((axis.percent(math.log(size)), f"{size:,}") for size in kept)


def _draw_line(run: int, scores: Scores, x_axis: Axis, y_axis: Axis) -> SizeLine:
    dots = tuple(
        Dot(
            left=x_axis.percent(math.log(size)),
            top=_top_percent(y_axis, score.value),
            low=None if score.low is None else _top_percent(y_axis, score.low),
            high=None if score.high is None else _top_percent(y_axis, score.high),
        )
        for size, score in sorted(scores.items())
        if score.value is not None
    )
    ranged = [(d.left, d.low, d.high) for d in dots if d.low is not None and d.high is not None]
    edge = [(left, high) for left, _, high in ranged]
    edge += [(left, low) for left, low, _ in reversed(ranged)]
    return SizeLine(
        run=run,
        path=_draw_path([(dot.left, dot.top) for dot in dots]),
        band=f"{_draw_path(edge)}Z" if len(ranged) > 1 else "",
        dots=dots,
    )


def _top_percent(axis: Axis, value: float) -> float:
    return round(100 - axis.percent(value), 3)


def _draw_path(points: Sequence[tuple[float, float]]) -> str:
    scale = SIDE / 100
    return "".join(
        f"{'L' if index else 'M'}{left * scale:.1f} {top * scale:.1f}"
        for index, (left, top) in enumerate(points)
    )


def _describe_scores(scores: Mapping[str, Scores]) -> str:
    return ". ".join(
        f"{row}: "
        + ", ".join(f"{format_value(s.value)} at {size:,}" for size, s in sorted(by_size.items()))
        for row, by_size in scores.items()
    )
