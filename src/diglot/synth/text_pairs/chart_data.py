"""The data of charts, and how two drawings of them differ.

Legend: S series, K categories.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from diglot.synth.text_pairs.page_style import COLOURS
from diglot.synth.text_pairs.words import Draw

_LABEL_LETTERS = 8  # longest label, so that labels fit side by side


@dataclass(frozen=True, kw_only=True)
class ChartData:
    """The data that a chart shows. A scatter's two series are its points' coordinates."""

    title: str
    categories: tuple[str, ...]
    series: tuple[str, ...]
    values_SK: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, kw_only=True)
class DrawingPlan:
    """What one of the two drawings of the data does in its own way."""

    order: tuple[int, ...]  # of the categories
    colours: tuple[int, ...]  # of the series, or of a pie's slices: which of the style's colours
    turned: bool  # bars lie, a scatter's axes change places, a pie runs the other way
    legend_right: bool
    grid: bool
    all_edges: bool
    ticks: int
    size_px: int  # the plot's longer side


def draw_data(kind: str, draw: Draw, rng: Random) -> ChartData:
    """Data for a chart of `kind`: bar, line, pie or scatter."""
    one_series = kind == "pie" or (kind == "bar" and rng.random() < 0.4)
    series = 1 if one_series else 2 if kind == "scatter" else rng.randint(2, 3)
    many = {"bar": (3, 6), "line": (4, 6), "pie": (4, 6), "scatter": (6, 8)}[kind]
    count = rng.randint(*many)
    values = {
        "bar": _draw_heights,
        "line": _draw_levels,
        "pie": _draw_shares,
        "scatter": _scatter_points,
    }[kind]
    return ChartData(
        title=draw.word() + " " + draw.word(),
        categories=tuple(draw.short_word(_LABEL_LETTERS) for _ in range(count)),
        series=tuple(draw.short_word(_LABEL_LETTERS) for _ in range(series)),
        values_SK=tuple(map(tuple, values(series, count, rng))),
    )


def draw_plan(data: ChartData, rng: Random) -> DrawingPlan:
    """A drawing with everything at random."""
    categories = len(data.categories)
    return DrawingPlan(
        order=tuple(rng.sample(range(categories), categories)),
        colours=tuple(rng.sample(range(COLOURS), COLOURS)),
        turned=rng.random() < 0.5,
        legend_right=rng.random() < 0.5,
        grid=rng.random() < 0.5,
        all_edges=rng.random() < 0.5,
        ticks=rng.randint(4, 6),
        size_px=rng.randint(300, 380),
    )


def match_plan(plan: DrawingPlan, other: DrawingPlan, *, layout: bool) -> DrawingPlan:
    """`plan` with the other's colours, and its order and orientation too if `layout`."""
    if layout:
        return replace(other, grid=plan.grid, all_edges=plan.all_edges, ticks=plan.ticks)
    return replace(plan, colours=other.colours)


def _draw_heights(series: int, count: int, rng: Random) -> list[list[float]]:
    """Heights of bars, none too low to be read."""
    top = 10.0 ** rng.randint(1, 3)
    return [[top * rng.uniform(0.15, 1) for _ in range(count)] for _ in range(series)]


def _draw_levels(series: int, count: int, rng: Random) -> list[list[float]]:
    """Levels that no two series share in a category, so that their points do not touch."""
    top, levels = 10.0 ** rng.randint(1, 3), range(1, 8)
    columns = [rng.sample(levels, series) for _ in range(count)]
    columns = [[top * (v + rng.uniform(-0.15, 0.15)) / 8 for v in column] for column in columns]
    return [list(row) for row in zip(*columns, strict=True)]


def _draw_shares(series: int, count: int, rng: Random) -> list[list[float]]:
    """Parts of a whole, none so small that its slice is hard to hit."""
    return [[rng.uniform(1, 3) for _ in range(count)] for _ in range(series)]


def _scatter_points(series: int, count: int, rng: Random) -> list[list[float]]:
    """Coordinates with room for each point's name beside it, whichever axis lies."""
    tops = [10.0 ** rng.randint(1, 3) for _ in range(series)]
    points: list[list[float]] = []
    while len(points) < count:
        new = [rng.uniform(0.05, 0.95) for _ in range(series)]
        if not any(_too_near(new, other) for other in points):
            points.append(new)
    return [[top * p[axis] for p in points] for axis, top in enumerate(tops)]


def _too_near(a: Sequence[float], b: Sequence[float]) -> bool:
    small, large = sorted(abs(x - y) for x, y in zip(a, b, strict=True))
    return small < 0.1 and large < 0.24
