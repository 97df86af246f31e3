"""Charts of four kinds: one set of data drawn with another style, order, orientation and scale.

Marks are what the data name: labels, legend entries, ends of bars, points, slices.

Drawn by hand, not by matplotlib's artists, which were tried: the four kinds took 132 lines, without
masks of their parts, in place of 355 (this file, axes, charts_free), but `get_window_extent` is not
the ink. It was off by up to 0.5 px at bars, 0.9 at slices, 3.8 at points and 3.3 at labels;
characters, which are keypoints too, have only their outlines' extents (titles 0.9 to 6.0 px off,
here 0). A chart took 220 to 520 ms of CPU, here 7 to 11.

Legend: S series, K categories.
"""

from collections.abc import Callable, Sequence
from random import Random

from diglot.core.types import Box
from diglot.synth.text_pairs.axes import (
    Around,
    ChartAxis,
    arrange_page,
    draw_edges,
    draw_point,
    draw_ticks,
    fit_axis,
    label_below,
    label_left,
    widest_px,
)
from diglot.synth.text_pairs.canvas import Canvas, Colour
from diglot.synth.text_pairs.chart_data import ChartData, DrawingPlan
from diglot.synth.text_pairs.charts_free import draw_pie, draw_scatter
from diglot.synth.text_pairs.page_style import PageStyle


def draw_bars(data: ChartData, plan: DrawingPlan, style: PageStyle, rng: Random) -> Canvas:
    """Bars side by side, standing or lying."""
    how = style.lettering(rng, 17, bold=False)
    axis = fit_axis(_all_values(data), from_zero=True, ticks=plan.ticks)
    names = [data.categories[k] for k in plan.order]
    thick = 30 if len(data.series) == 1 else 20
    slot = max(thick * len(data.series) + 14, 0 if plan.turned else widest_px(names, how) + 12)
    along, tall = slot * len(names), round(0.6 * plan.size_px)
    around = _describe_frame(data, plan, style, names if plan.turned else axis.labels)
    plot_wh = (plan.size_px, along) if plan.turned else (along, tall)
    canvas, box = arrange_page(around, plot_wh, style, how, rng)
    draw_ticks(canvas, axis, box, style, how, upright=not plan.turned, grid=plan.grid)
    for i, k in enumerate(plan.order):
        middle = (box[1] if plan.turned else box[0]) + (i + 0.5) * slot
        label = label_left if plan.turned else label_below
        label(canvas, data.categories[k], box, middle, how)
        for s, series in enumerate(data.series):
            low = round(middle + (s - len(data.series) / 2) * thick)
            end = axis.share(data.values_SK[s][k])
            key = f"bar {data.categories[k]} {series}"
            colour = style.parts[plan.colours[s]]
            _draw_bar(canvas, key, box, (low + 1, low + thick - 2), end, colour, lies=plan.turned)
    draw_edges(canvas, box, style, all_sides=plan.all_edges)
    return canvas


def draw_lines(data: ChartData, plan: DrawingPlan, style: PageStyle, rng: Random) -> Canvas:
    """Lines through marked points; categories keep their order, as time would."""
    how = style.lettering(rng, 17, bold=False)
    axis = fit_axis(_all_values(data), from_zero=plan.turned, ticks=plan.ticks)
    slot = max(widest_px(data.categories, how) + 14, plan.size_px // len(data.categories))
    around = _describe_frame(data, plan, style, axis.labels)
    plot_wh = (slot * len(data.categories), round(0.65 * plan.size_px))
    canvas, box = arrange_page(around, plot_wh, style, how, rng)
    draw_ticks(canvas, axis, box, style, how, upright=True, grid=plan.grid)
    draw_edges(canvas, box, style, all_sides=plan.all_edges)
    x_K = [box[0] + (k + 0.5) * slot for k in range(len(data.categories))]
    for x, category in zip(x_K, data.categories, strict=True):
        label_below(canvas, category, box, x, how)
    corners, width = rng.choice((0, 3, 4)), rng.choice((2, 3, 4))
    for s in range(len(data.series)):
        points = [
            (x, _value_height(axis, v, box)) for x, v in zip(x_K, data.values_SK[s], strict=True)
        ]
        colour = style.parts[plan.colours[s]]
        canvas.draw.line(points, fill=colour, width=width)
        for point, category in zip(points, data.categories, strict=True):
            draw_point(canvas, f"point {category} {data.series[s]}", point, colour, corners)
    return canvas


KINDS: dict[str, Callable[[ChartData, DrawingPlan, PageStyle, Random], Canvas]] = {
    "bar": draw_bars,
    "line": draw_lines,
    "pie": draw_pie,
    "scatter": draw_scatter,
}


def _all_values(data: ChartData) -> list[float]:
    return [value for values_K in data.values_SK for value in values_K]


def _value_height(axis: ChartAxis, value: float, box: Box) -> float:
    return box[3] - axis.share(value) * (box[3] - box[1])


def _describe_frame(
    data: ChartData, plan: DrawingPlan, style: PageStyle, left: Sequence[str]
) -> Around:
    """One series needs no legend."""
    entries = [(name, style.parts[plan.colours[s]]) for s, name in enumerate(data.series)]
    return Around(
        title=data.title,
        left=tuple(left),
        legend=tuple(entries) if len(entries) > 1 else (),
        legend_right=plan.legend_right,
    )


def _draw_bar(
    canvas: Canvas,
    key: str,
    box: Box,
    sides: tuple[float, float],
    end: float,
    colour: Colour,
    *,
    lies: bool,
) -> None:
    """A bar up to share `end` of the plot; its mark is the middle of its end."""
    low, high = sides
    middle = (low + high + 1) / 2  # Pillow fills both edge pixels
    if lies:
        x = round(box[0] + end * (box[2] - box[0]))
        corners = (box[0], low, x - 1, high)
        canvas.mark(key, (x, middle), (x - 8, low, x + 8, high + 1))
    else:
        y = round(box[3] - end * (box[3] - box[1]))
        corners = (low, y, high, box[3])
        canvas.mark(key, (middle, y), (low, y - 8, high + 1, y + 8))
    canvas.draw_part(key, lambda draw, fill: draw.rectangle(corners, fill=fill), colour)
