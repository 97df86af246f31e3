"""What charts stand on: axes with round ticks, a title, a legend, and the page around the plot."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from PIL import ImageDraw

from diglot.core.types import Box
from diglot.synth.text_pairs.canvas import XY, Canvas, Colour, Lettering, square_around
from diglot.synth.text_pairs.page_style import PageStyle, blank_page

_PAD = 18  # px from the page's edge
_GAP = 8  # px between a plot and its labels
_SWATCH_PX = 12
_POINT_PX = 9  # half the side of a point's box


@dataclass(frozen=True, kw_only=True)
class ChartAxis:
    """An axis with a tick every `step` from `low` to `high`."""

    low: float
    high: float
    step: float

    @property
    def ticks(self) -> list[float]:
        """Their values."""
        count = round((self.high - self.low) / self.step)
        return [self.low + i * self.step for i in range(count + 1)]

    @property
    def labels(self) -> list[str]:
        """Their texts."""
        digits = max(0, -math.floor(math.log10(self.step)))
        return [f"{tick:.{digits}f}" for tick in self.ticks]

    def share(self, value: float) -> float:
        """Where a value lies, 0 at `low`, 1 at `high`."""
        return (value - self.low) / (self.high - self.low)


def fit_axis(values: Sequence[float], *, from_zero: bool, ticks: int) -> ChartAxis:
    """An axis of about `ticks` round ticks that holds all values."""
    low, high = (0.0 if from_zero else min(values)), max(values)
    rough = (high - low) / ticks
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * unit for unit in (1, 2, 5, 10) if power * unit >= rough)
    return ChartAxis(
        low=math.floor(low / step) * step, high=math.ceil(high / step) * step, step=step
    )


@dataclass(frozen=True, kw_only=True)
class Around:
    """What stands around a plot."""

    title: str
    left: tuple[str, ...] = ()  # labels along the left side, for their room
    below: bool = True  # whether labels stand below
    right_px: int = 0  # room for what leaves the plot on the right
    legend: tuple[tuple[str, Colour], ...] = ()
    legend_right: bool = True  # else between title and plot


def widest_px(texts: Sequence[str], how: Lettering) -> int:
    """Px that the widest text takes; 0 where there is none."""
    return max((how.width(text) for text in texts), default=0)


def arrange_page(
    around: Around, plot_wh: tuple[int, int], style: PageStyle, how: Lettering, rng: Random
) -> tuple[Canvas, Box]:
    """A page with title and legend, and the box left for the plot."""
    heading = replace(style.lettering(rng, 21, bold=True), colour=style.accent)
    names = [name for name, _ in around.legend]
    legend_px = widest_px(names, how) + _SWATCH_PX + _GAP
    beside = around.legend_right and bool(names)
    left = _PAD + (widest_px(around.left, how) + _GAP if around.left else 0)
    top = _PAD + round(1.4 * heading.line_px)
    top += 0 if beside or not names else round(1.5 * how.line_px)
    right = _PAD + _GAP + around.right_px + (legend_px + 2 * _GAP if beside else 0)
    across = 0 if beside else sum(how.width(n) + _SWATCH_PX + 4 * _GAP for n in names) + 2 * _PAD
    width = max(left + plot_wh[0] + right, heading.width(around.title) + 2 * _PAD, across)
    height = top + plot_wh[1] + (round(1.4 * how.line_px) if around.below else 0) + _PAD
    canvas = blank_page(width, height, style, rng)
    canvas.write(around.title, _PAD, _PAD + heading.size_px, heading)
    box = (left, top, left + plot_wh[0], top + plot_wh[1])
    if beside:
        _legend_beside(canvas, around, (box[2] + around.right_px + 2 * _GAP, top), how)
    else:
        _legend_above(canvas, around, (left, top - 0.9 * how.line_px), how)
    return canvas, box


def label_left(canvas: Canvas, text: str, box: Box, y: float, how: Lettering) -> None:
    """Text that ends left of the plot, its middle at `y`."""
    canvas.write(text, box[0] - _GAP - how.width(text), y + 0.35 * how.size_px, how)


def label_below(canvas: Canvas, text: str, box: Box, x: float, how: Lettering) -> None:
    """Text below the plot, its middle at `x`."""
    canvas.write(text, x - how.width(text) / 2, box[3] + how.line_px, how)


def draw_ticks(
    canvas: Canvas,
    axis: ChartAxis,
    box: Box,
    style: PageStyle,
    how: Lettering,
    *,
    upright: bool,
    grid: bool,
) -> None:
    """Tick labels of the axis on the left (upright) or below, tick marks or a grid, and a frame."""
    x0, y0, x1, y1 = box
    for tick, label in zip(axis.ticks, axis.labels, strict=True):
        if upright:
            y = y1 - axis.share(tick) * (y1 - y0)
            canvas.draw.line(
                (x0 if grid else x0 - 4, y, x1 if grid else x0, y), fill=_faint_colour(style)
            )
            label_left(canvas, label, box, y, how)
        else:
            x = x0 + axis.share(tick) * (x1 - x0)
            canvas.draw.line(
                (x, y0 if grid else y1, x, y1 if grid else y1 + 4), fill=_faint_colour(style)
            )
            label_below(canvas, label, box, x, how)


def draw_point(canvas: Canvas, key: str, at: XY, colour: Colour, corners: int) -> None:
    """A disc, or a regular shape of 3 or 4 corners, marked at its centre."""

    def shape(draw: ImageDraw.ImageDraw, fill: Any) -> None:
        if corners:
            draw.regular_polygon((*at, 7), corners, fill=fill)
        else:
            draw.ellipse(square_around(at, 5), fill=fill)

    canvas.draw_part(key, shape, colour)
    canvas.mark(key, at, square_around(at, _POINT_PX))


def draw_edges(canvas: Canvas, box: Box, style: PageStyle, *, all_sides: bool) -> None:
    """The left and lower edge of the plot, or all four."""
    x0, y0, x1, y1 = box
    if all_sides:
        canvas.draw.rectangle(box, outline=style.ink)
    else:
        canvas.draw.line((x0, y0, x0, y1, x1, y1), fill=style.ink, width=2)


def _faint_colour(style: PageStyle) -> Colour:
    red, green, blue = (
        round(0.65 * p + 0.35 * i) for p, i in zip(style.paper, style.ink, strict=True)
    )
    return red, green, blue


def _legend_beside(canvas: Canvas, around: Around, start: XY, how: Lettering) -> None:
    x, y = start
    for name, colour in around.legend:
        _write_entry(canvas, name, colour, x, y + how.size_px, how)
        y += 1.3 * how.line_px


def _legend_above(canvas: Canvas, around: Around, start: XY, how: Lettering) -> None:
    x, y = start
    for name, colour in around.legend:
        _write_entry(canvas, name, colour, x, y + 0.3 * how.size_px, how)
        x += _SWATCH_PX + how.width(name) + 4 * _GAP


def _write_entry(
    canvas: Canvas, name: str, colour: Colour, x: float, y: float, how: Lettering
) -> None:
    square = (x, y - _SWATCH_PX + 1, x + _SWATCH_PX, y + 1)
    canvas.draw.rectangle(square, fill=colour)
    canvas.write(name, x + _SWATCH_PX + _GAP, y, how)
