"""Charts: marks lie on what they name, and two drawings name the same."""

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from tests.synth.text_pairs.ocr_families import FAMILIES

from diglot.synth.text_pairs.axes import ChartAxis, fit_axis
from diglot.synth.text_pairs.chart_data import draw_data, draw_plan, match_plan
from diglot.synth.text_pairs.charts import KINDS
from diglot.synth.text_pairs.page_style import draw_page_style
from diglot.synth.text_pairs.words import Draw


def chart(kind, seed, **chosen):
    rng = Random(seed)
    data = draw_data(kind, Draw(rng), rng)
    plan = replace(draw_plan(data, rng), **chosen)
    style = draw_page_style(FAMILIES[seed % len(FAMILIES)], rng, dark=seed % 2 == 0, hue=0.3)
    style = replace(style, ground="flat")
    return data, plan, style, KINDS[kind](data, plan, style, rng)


def marks(canvas, what):
    return {mark.key: mark for mark in canvas.marks if mark.key.startswith(f"{what} ")}


@pytest.mark.parametrize("kind", KINDS)
def test_every_drawing_of_the_data_names_the_same(kind):
    rng = Random(5)
    data = draw_data(kind, Draw(rng), rng)
    style = draw_page_style(FAMILIES[0], rng, dark=False, hue=0.0)
    named = []
    for _ in range(6):
        canvas = KINDS[kind](data, draw_plan(data, rng), style, rng)
        ticks = {mark.key for mark in canvas.marks if mark.key.replace(".", "").isdigit()}
        named.append({mark.key for mark in canvas.marks} - ticks)
    assert all(keys == named[0] for keys in named)
    assert set(data.categories) < named[0]


@pytest.mark.parametrize("turned", [False, True])
def test_bars_end_at_their_marks(turned):
    data, plan, style, canvas = chart("bar", 3, turned=turned)
    step = np.array([-3, 0]) if turned else np.array([0, 3])  # towards the bar's foot
    found = marks(canvas, "bar")
    assert len(found) == len(data.categories) * len(data.series)
    for s, series in enumerate(data.series):
        for category in data.categories:
            point = np.array(found[f"bar {category} {series}"].point)
            inside, beyond = (tuple(map(int, point + sign * step)) for sign in (1, -1))
            assert canvas.image.getpixel(inside) == style.parts[plan.colours[s]]
            assert canvas.image.getpixel(beyond) != style.parts[plan.colours[s]]


def test_bars_are_as_long_as_their_values():
    data, _, _, canvas = chart("bar", 4, turned=False)
    found = marks(canvas, "bar")
    values = {
        f"bar {category} {series}": data.values_SK[s][k]
        for s, series in enumerate(data.series)
        for k, category in enumerate(data.categories)
    }
    tops = np.array([found[key].point[1] for key in values])
    slope, foot = np.polyfit(list(values.values()), tops, 1)
    np.testing.assert_allclose(tops, slope * np.array(list(values.values())) + foot, atol=0.6)
    assert slope < 0


@pytest.mark.parametrize(
    ("kind", "what"), [("line", "point"), ("scatter", "point"), ("pie", "slice")]
)
def test_points_and_slices_have_their_colour_at_their_marks(kind, what):
    for seed in range(6):
        data, plan, style, canvas = chart(kind, seed)
        for key, mark in marks(canvas, "slice" if kind == "pie" else "point").items():
            names = key.split(" ")[1:]
            if kind == "pie":
                part = plan.colours[data.categories.index(names[0])]
            else:
                part = plan.colours[data.series.index(names[1]) if kind == "line" else 0]
            assert canvas.image.getpixel(tuple(map(int, mark.point))) == style.parts[part]


def test_turning_a_scatter_swaps_its_axes():
    drawn = [marks(chart("scatter", 2, turned=turned)[3], "point") for turned in (False, True)]
    across = [[mark.point[0] for mark in found.values()] for found in drawn]
    up = [[-mark.point[1] for mark in found.values()] for found in drawn]
    np.testing.assert_array_equal(np.argsort(across[0]), np.argsort(up[1]))
    np.testing.assert_array_equal(np.argsort(up[0]), np.argsort(across[1]))


def test_a_like_plan_keeps_what_it_should():
    rng = Random(0)
    data = draw_data("bar", Draw(rng), rng)
    first, second = draw_plan(data, rng), draw_plan(data, rng)
    assert match_plan(second, first, layout=False) == replace(second, colours=first.colours)
    both = match_plan(second, first, layout=True)
    assert (both.order, both.turned, both.colours) == (first.order, first.turned, first.colours)


def test_axes_have_round_ticks_around_all_values():
    axis = fit_axis([3.1, 47.0], from_zero=True, ticks=5)
    assert axis == ChartAxis(low=0, high=50, step=10)
    assert axis.labels == ["0", "10", "20", "30", "40", "50"]
    assert axis.share(25) == 0.5
    fine = fit_axis([0.31, 0.49], from_zero=False, ticks=4)
    assert fine.low <= 0.31 < 0.49 <= fine.high
    assert len(set(fine.labels)) == len(fine.ticks)
