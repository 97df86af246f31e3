"""The charts whose names stand beside what they name: pies and scatters.

Legend: S series, K categories.
"""

import functools
import math
from random import Random
from typing import Any

from PIL import ImageDraw

from diglot.synth.text_pairs.axes import (
    Around,
    arrange_page,
    draw_edges,
    draw_point,
    draw_ticks,
    fit_axis,
    widest_px,
)
from diglot.synth.text_pairs.canvas import XY, Canvas, Lettering, square_around
from diglot.synth.text_pairs.chart_data import ChartData, DrawingPlan
from diglot.synth.text_pairs.page_style import PageStyle

_SLICE_PX = 14  # half the side of the box around a slice's mark


def draw_pie(data: ChartData, plan: DrawingPlan, style: PageStyle, rng: Random) -> Canvas:
    """Slices of the first series, named around the pie or in a legend."""
    how = style.lettering(rng, 17, bold=False)
    colours = [style.parts[colour] for colour in plan.colours]
    named_around = not plan.legend_right
    legend = () if named_around else tuple((data.categories[k], colours[k]) for k in plan.order)
    radius = plan.size_px // 3
    margin_x, margin_y = (widest_px(data.categories, how) + 16, 34) if named_around else (8, 8)
    canvas, box = arrange_page(
        Around(title=data.title, below=False, legend=legend),
        (2 * (radius + margin_x), 2 * (radius + margin_y)),
        style,
        how,
        rng,
    )
    middle = round((box[0] + box[2]) / 2), round((box[1] + box[3]) / 2)
    hole = rng.choice((0.0, 0.0, 0.45)) * radius
    reach = (hole + radius) / 2 if hole else 0.62 * radius
    total, at = sum(data.values_SK[0]), rng.uniform(0, 360)
    for k in plan.order:
        wide = 360 * data.values_SK[0][k] / total * (-1 if plan.turned else 1)
        low, high, at = min(at, at + wide), max(at, at + wide), at + wide
        canvas.draw.pieslice(
            square_around(middle, radius), low, high, fill=colours[k], outline=style.paper, width=2
        )
        shape = functools.partial(_draw_slice, middle, (hole, radius), (low, high))
        canvas.shapes[f"slice {data.categories[k]}"] = shape
        towards = math.radians((low + high) / 2)
        place = _on_ray(middle, towards, reach)
        canvas.mark(f"slice {data.categories[k]}", place, square_around(place, _SLICE_PX))
        if named_around:
            _write_name(
                canvas, data.categories[k], _on_ray(middle, towards, radius + 10), towards, how
            )
    if hole:
        canvas.draw.ellipse(square_around(middle, hole), fill=style.paper)
    return canvas


def draw_scatter(data: ChartData, plan: DrawingPlan, style: PageStyle, rng: Random) -> Canvas:
    """Points that each have a name beside them; the two series are their coordinates."""
    how = style.lettering(rng, 16, bold=False)
    across_K, up_K = data.values_SK[::-1] if plan.turned else data.values_SK
    x_axis, y_axis = (fit_axis(v, from_zero=False, ticks=plan.ticks) for v in (across_K, up_K))
    right_px = widest_px(data.categories, how)
    canvas, box = arrange_page(
        Around(title=data.title, left=tuple(y_axis.labels), right_px=right_px),
        (plan.size_px, round(0.8 * plan.size_px)),
        style,
        how,
        rng,
    )
    draw_ticks(canvas, y_axis, box, style, how, upright=True, grid=plan.grid)
    draw_ticks(canvas, x_axis, box, style, how, upright=False, grid=plan.grid)
    draw_edges(canvas, box, style, all_sides=plan.all_edges)
    corners = rng.choice((0, 3, 4))
    for across, up, name in zip(across_K, up_K, data.categories, strict=True):
        x = box[0] + x_axis.share(across) * (box[2] - box[0])
        y = box[3] - y_axis.share(up) * (box[3] - box[1])
        draw_point(canvas, f"point {name}", (x, y), style.parts[plan.colours[0]], corners)
        canvas.write(name, x + 10, y + 0.35 * how.size_px, how)
    return canvas


def _draw_slice(middle: XY, radii: XY, degrees: XY, draw: ImageDraw.ImageDraw, fill: Any) -> None:
    """A slice of the pie, without the hole: fill 0 is where there is none."""
    draw.pieslice(square_around(middle, radii[1]), *degrees, fill=fill)
    if radii[0]:
        draw.ellipse(square_around(middle, radii[0]), fill=0)


def _on_ray(start: XY, towards: float, far: float) -> XY:
    return start[0] + far * math.cos(towards), start[1] + far * math.sin(towards)


def _write_name(canvas: Canvas, text: str, at: XY, towards: float, how: Lettering) -> None:
    """Text beside a point on the rim, on the side away from the pie."""
    left = at[0] + (math.cos(towards) - 1) / 2 * how.width(text)
    canvas.write(text, left, at[1] + (0.35 + 0.5 * math.sin(towards)) * how.size_px, how)
