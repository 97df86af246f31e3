"""Axes, intervals, lines and significance: the numbers behind the figures."""

import math
import statistics
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diglot.report.axes import fit_axis, format_tick, format_value
from diglot.report.curves import line_chart, running_mean, thin_out
from diglot.report.interval_chart import draw_intervals, measure_axis
from diglot.report.palette import (
    DARK_GROUND,
    ENTITY_COLOURS,
    LIGHT_GROUND,
    RUN_COLOURS,
    contrast_ratio,
    heat_colours,
    ink_on,
    relative_luminance,
)
from diglot.report.scene_schema import SceneRegion
from diglot.report.scenes import place_badge
from diglot.report.schema import Curve, MeasureByRun, Result, Score
from diglot.report.significance import (
    FEWEST_ITEMS,
    find_best_run,
    find_differences,
    is_at_chance,
)

REAL = st.floats(-1e12, 1e12)


@given(st.lists(REAL, min_size=1, max_size=6))
def test_axis_holds_all_values_between_round_ticks(values: list[float]) -> None:
    axis = fit_axis(values)
    assert all(-1e-6 <= axis.percent(v) <= 100 + 1e-6 for v in values)
    assert 2 <= len(axis.ticks) <= 8
    assert list(axis.ticks) == sorted(axis.ticks)


def test_axis_without_values_is_the_unit_interval() -> None:
    axis = fit_axis([None, math.nan, math.inf])
    assert (axis.low, axis.high) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "not measured"),
        (0.0, "0.00"),
        (0.823, "0.82"),
        (-0.041, "−0.04"),
        (0.0004, "0.0004"),
        (17.26, "17.3"),
        (12345.6, "12,346"),
        (math.inf, "∞"),
    ],
)
def test_values_as_text(value: float | None, text: str) -> None:
    assert format_value(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.25, "0.25"), (-2.0, "−2"), (1500.0, "1,500"), (0.0, "0")]
)
def test_ticks_as_text(value: float, text: str) -> None:
    assert format_tick(value) == text


def score(value: float | None, spread: float | None = 0.04, n: int = 100) -> Score:
    if value is None:
        return Score(value=None, low=None, high=None, n=0)
    if spread is None:
        return Score(value=value, low=None, high=None, n=n)
    return Score(value=value, low=value - spread, high=value + spread, n=n)


def measure(
    values: dict[str, float | None], *, higher: bool = True, title: str = "t", **of_score: Any
) -> MeasureByRun:
    return MeasureByRun(
        key="k",
        title=title,
        what="",
        unit="accuracy",
        chance=0.25,
        higher_is_better=higher,
        results={r: Result(**vars(score(v, **of_score)), groups={}) for r, v in values.items()},
    )


def test_intervals_stand_where_the_values_are() -> None:
    asked = measure({"a": 0.5, "b": None})
    scores = {run: result.score for run, result in asked.results.items()}
    chart = draw_intervals(measure_axis(asked), scores, ("a", "b", "c"), chance=0.25)
    (drawn,) = chart.intervals
    assert (drawn.run, drawn.low, drawn.at, drawn.high) == (0, 46.0, 50.0, 54.0)
    assert chart.chance == 25.0
    assert chart.description == "a 0.50 (0.46 to 0.54), b not measured, chance 0.25"


def test_axis_leaves_the_unit_interval_where_values_do() -> None:
    assert measure_axis(measure({"a": 1.7, "b": 2.4})).high >= 2.44


def test_best_follows_the_direction() -> None:
    values: dict[str, float | None] = {"a": 0.4, "b": 0.8, "c": None}
    assert find_best_run(measure(values)) == "b"
    assert find_best_run(measure(values, higher=False)) == "a"


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param(lambda: measure({"a": 0.4, "b": 0.4}), id="a tie"),
        pytest.param(lambda: measure({"a": 0.4}), id="alone"),
        pytest.param(lambda: measure({"a": 0.5, "b": 0.55}), id="intervals meet"),
        pytest.param(lambda: measure({"a": 0.2, "b": 0.5, "c": 0.55}), id="they meet a third"),
        pytest.param(lambda: measure({"a": 0.4, "b": 0.8}, n=FEWEST_ITEMS - 1), id="few items"),
        pytest.param(lambda: measure({"a": 0.4, "b": 0.8}, spread=None), id="no intervals"),
    ],
)
def test_there_is_no_best_where_it_is_not_clear(asked: Callable[[], MeasureByRun]) -> None:
    assert find_best_run(asked()) is None


def test_a_page_says_what_got_worse_too() -> None:
    runs = {"a": 0.5, "b": 0.8}
    measures = [
        measure(runs, title="up"),
        measure(runs, title="down", higher=False),
        measure({"a": 0.5, "b": 0.52}, title="alike"),
        measure({"a": 0.5, "b": None}, title="not measured"),
    ]
    (found,) = find_differences(measures, ("a", "b"))
    assert (found.run, found.other) == ("b", "a")
    assert (found.better, found.worse, found.alike) == (("up",), ("down",), 1)


def test_chance_within_an_interval_is_noted() -> None:
    assert is_at_chance(score(0.26), 0.25)
    assert not is_at_chance(score(0.33), 0.25)
    assert not is_at_chance(score(0.26), None)


POINTS = st.lists(st.tuples(REAL, st.none() | REAL | st.just(math.inf)), max_size=60)


@given(POINTS, st.integers(3, 9))
def test_running_mean_against_a_slow_loop(
    series: list[tuple[float, float | None]], window: int
) -> None:
    half = window // 2
    for index, (x, mean) in enumerate(running_mean(series, window)):
        own = series[index][1]
        assert x == series[index][0]
        if own is None or math.isinf(own):
            assert mean is None
            continue
        near = [series[i][1] for i in range(len(series)) if abs(i - index) <= half]
        finite = [v for v in near if v is not None and math.isfinite(v)]
        assert mean == pytest.approx(statistics.fmean(finite), rel=1e-6, abs=1e-3)


def test_thinning_keeps_the_peaks() -> None:
    series = [(float(i), math.sin(i)) for i in range(5000)]
    series[3111] = (3111.0, 99.0)
    kept = thin_out(series, 600)
    assert len(kept) <= 620
    assert (3111.0, 99.0) in kept
    assert kept == sorted(kept)


def test_a_gap_lifts_the_pen() -> None:
    curve = Curve(
        title="t",
        x_label="x",
        y_label="y",
        series={"a": ((0.0, 0.0), (1.0, None), (2.0, 1.0), (3.0, math.nan), (4.0, 0.5))},
    )
    (line,) = line_chart(curve, ("a",)).lines
    assert line.raw == "M0 1000M500 0M1000 500"
    assert line.dots == ((0.0, 100.0), (50.0, 0.0), (100.0, 50.0))
    assert (line.gaps, line.first, line.last, line.lowest) == (2, 0.0, 0.5, 0.0)


def test_an_empty_curve_is_drawn_empty() -> None:
    chart = line_chart(Curve(title="t", x_label="x", y_label="y", series={"a": ()}), ("a",))
    assert chart.lines[0].raw == ""


@pytest.mark.parametrize("colour", sorted({*ENTITY_COLOURS, *RUN_COLOURS}))
def test_colours_stand_out_from_both_grounds(colour: str) -> None:
    assert contrast_ratio(colour, LIGHT_GROUND) >= 3
    assert contrast_ratio(colour, DARK_GROUND) >= 3
    assert contrast_ratio(colour, ink_on(colour)) >= 4.5


def test_heat_rises_in_lightness() -> None:
    lightness = [relative_luminance(colour) for colour in heat_colours()]
    assert lightness == sorted(lightness)
    assert len(set(lightness)) == len(lightness)


@pytest.mark.parametrize(
    ("box", "corner"),
    [
        ((100, 100, 400, 300), (100, 100)),  # on the box
        ((100, 100, 130, 120), (100, 55)),  # above a small one
        ((100, 10, 130, 30), (100, 30)),  # below one at the top
        ((990, 980, 1000, 1000), (955, 935)),
    ],
)
def test_the_number_of_a_box_does_not_hide_it(box, corner) -> None:
    region = SceneRegion(phrase="car", label="car", box=box)
    badge = place_badge(region, 1, (1000, 1000))
    assert (badge.x, badge.y) == corner
    x0, y0, x1, y1 = box
    covered_x = min(x1, badge.x + badge.width) - max(x0, badge.x)
    covered_y = min(y1, badge.y + badge.height) - max(y0, badge.y)
    assert max(covered_x, 0) * max(covered_y, 0) <= 0.2 * (x1 - x0) * (y1 - y0)
