"""One page of words, or one chart, and what stands on it: names, pixels, values."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
from PIL import Image, ImageDraw

from diglot.core.types import SizeHW
from diglot.synth.text_pairs.canvas import Canvas, Mark, Shape
from diglot.synth.text_pairs.chart_data import ChartData, draw_data, draw_plan
from diglot.synth.text_pairs.charts import KINDS
from diglot.synth.text_pairs.drawn import is_covered
from diglot.synth.text_pairs.fonts import Family
from diglot.synth.text_pairs.page_style import PageStyle, draw_page_style
from diglot.synth.text_pairs.pages import STYLES
from diglot.synth.text_pairs.words import Draw

# What the parts of a chart are called, by the first word of their key.
_PARTS = ("bar", "point", "slice")


@dataclass(frozen=True, kw_only=True, eq=False)
class PageThing:
    """Something on a page. `value`: of a chart's part, what it stands for."""

    phrase: str
    mask_HW: np.ndarray  # bool, of the page
    is_text: bool
    value: float | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Page:
    """A picture, what it is ("a receipt"), its title if it has one, and the things on it."""

    image: Image.Image
    noun: str
    things: Sequence[PageThing]
    title: str = ""


def draw_words_page(
    families: Sequence[Family], texts: tuple[int, int], rng: Random, draw: Draw
) -> Page | None:
    """A page of texts of which none repeats; None where one lies on another."""
    style = rng.choice(list(STYLES))
    written = [draw.any() for _ in range(rng.randint(*texts))]
    canvas = STYLES[style](written, _page_style(families, rng), rng)
    if is_covered(canvas):
        return None
    noun = "page" if style == "columns" else style
    return Page(image=canvas.image, noun=noun, things=_texts_of(canvas, written))


def draw_chart_page(families: Sequence[Family], rng: Random, draw: Draw) -> Page | None:
    """A chart with its title, labels and parts; None where a text lies on anything."""
    kind = rng.choice(list(KINDS))
    data = draw_data(kind, draw, rng)
    canvas = KINDS[kind](data, draw_plan(data, rng), _page_style(families, rng), rng)
    if is_covered(canvas):
        return None
    labels = [*data.categories, *(data.series if kind != "scatter" else ())]
    things = [*_texts_of(canvas, [data.title, *labels]), *_parts_of(canvas, kind, data)]
    noun = {"pie": "pie chart", "scatter": "scatter plot"}.get(kind, f"{kind} chart")
    return Page(image=canvas.image, noun=noun, things=things, title=data.title)


def _page_style(families: Sequence[Family], rng: Random) -> PageStyle:
    return draw_page_style(
        rng.choice(list(families)), rng, dark=rng.random() < 0.3, hue=rng.random()
    )


def _texts_of(canvas: Canvas, texts: Sequence[str]) -> list[PageThing]:
    """Those that stand once on the page; a text's pixels are all those of its box."""
    marks = _unique_marks(canvas)
    return [
        PageThing(phrase=text, mask_HW=_fill_box(marks[text], canvas.size_hw), is_text=True)
        for text in texts
        if text in marks
    ]


def _unique_marks(canvas: Canvas) -> dict[str, Mark]:
    counts = Counter(mark.key for mark in canvas.marks)
    return {mark.key: mark for mark in canvas.marks if counts[mark.key] == 1}


def _fill_box(mark: Mark, size_hw: SizeHW) -> np.ndarray:
    x0, y0, x1, y1 = map(round, mark.box)
    mask_HW = np.zeros(size_hw, bool)
    mask_HW[max(y0, 0) : y1, max(x0, 0) : x1] = True
    return mask_HW


def _parts_of(canvas: Canvas, kind: str, data: ChartData) -> list[PageThing]:
    """Bars, points and slices with their values, named by what they stand for."""
    values = {}
    for s, series in enumerate(data.series):
        for k, category in enumerate(data.categories):
            for part in _PARTS:
                values[f"{part} {category} {series}"] = (s, k)
                values[f"{part} {category}"] = (0, k)
    several = len(data.series) > 1 and kind != "scatter"
    things = []
    for key, shape in canvas.shapes.items():
        s, k = values[key]
        name = f"{key.split()[0]} of {data.categories[k]}"
        things.append(
            PageThing(
                phrase=f"{name} for {data.series[s]}" if several else name,
                mask_HW=_draw_shape(shape, canvas.size_hw),
                is_text=False,
                value=None if kind == "scatter" else data.values_SK[s][k],
            )
        )
    return things


def _draw_shape(shape: Shape, size_hw: SizeHW) -> np.ndarray:
    height, width = size_hw
    picture = Image.new("L", (width, height), 0)
    shape(ImageDraw.Draw(picture), 255)
    return np.asarray(picture) > 0
