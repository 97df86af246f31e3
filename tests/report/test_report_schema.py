"""Every field of a report is checked, and the message names it."""

import copy
import math
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from diglot.core.errors import DataError
from diglot.report.page import render_report
from diglot.report.schema import read_report

TOP = ["title", "created", "summary", "runs", "settings", "environment", "measures", "curves"]


@pytest.mark.parametrize("name", [*TOP, "timings", "examples"])
def test_a_missing_field_is_named(report_data: dict[str, Any], name: str) -> None:
    del report_data[name]
    with pytest.raises(DataError, match=f"report: field '{name}' is missing"):
        read_report(report_data)


@pytest.mark.parametrize(
    ("path", "value", "where"),
    [
        (["title"], 3, "report.title"),
        (["runs"], [], "report.runs"),
        (["runs"], ["a", "a"], "report.runs"),
        (["settings"], {"seed": 0}, "report.settings.seed"),
        (["measures", 0, "higher_is_better"], 1, r"measures\[0\].higher_is_better"),
        (["measures", 0, "results"], {"other": {}}, r"measures\[0\].results: no run is called"),
        (["measures", 1, "results", "caption", "value"], "high", "results.caption.value"),
        (["measures", 1, "results", "caption", "n"], -1, "results.caption.n"),
        (["measures", 1, "results", "caption", "low"], 5.0, "results.caption.low"),
        (["curves", 0, "series", "caption"], [[1, 2, 3]], r"series.caption\[0\]"),
        (["curves", 0, "series", "caption"], [[math.nan, 2]], r"series.caption\[0\]\[0\]"),
        (["timings", 0, "seconds"], None, r"timings\[0\].seconds"),
        (["examples", 0, "size_hw"], [0, 4], r"size_hw\[0\]"),
        (["examples", 0, "regions", 0, "box"], [9, 0, 3, 4], r"regions\[0\].box"),
        (["examples", 0, "regions", 0, "span"], [3, 9999], r"regions\[0\].span"),
        (["examples", 0, "token_maps", "caption", "words"], ["a"], "caption.words"),
        (["examples", 0, "token_maps", "caption", "maps", 0, "values"], [1], r"maps\[0\].values"),
        (["examples", 0, "token_maps", "caption", "maps", 0, "values"], 7, r"maps\[0\].values"),
    ],
)
def test_an_ill_typed_field_is_named(
    report_data: dict[str, Any], path: list[Any], value: Any, where: str
) -> None:
    place: Any = report_data
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(DataError, match=where):
        read_report(report_data)


@pytest.mark.parametrize(
    "address",
    [
        "http://example.org/a.png",
        "data:image/svg+xml;base64,AAAA",
        "data:text/html;base64,AAAA",
        'data:image/png;base64,AAAA" onload="x',
        "data:image/png;base64,AAAA\n",
        "data:image/png;base64,",
        "javascript:alert(1)",
    ],
)
def test_only_pictures_held_in_the_page(report_data: dict[str, Any], address: str) -> None:
    report_data["examples"][0]["image"] = address
    with pytest.raises(DataError, match=r"examples\[0\].image"):
        read_report(report_data)


def test_null_and_nan_are_not_measured(report_data: dict[str, Any]) -> None:
    report_data["measures"][0]["results"]["caption"]["value"] = math.nan
    report_data["measures"][0]["chance"] = None
    measure = read_report(report_data).measures[0]
    assert measure.results["caption"].score.value is None
    assert measure.chance is None


def test_half_characters_become_a_mark(report_data: dict[str, Any]) -> None:
    report_data["title"] = "a\ud800b"
    assert read_report(report_data).title == "a�b"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
QUICK = settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def small(data: dict[str, Any]) -> dict[str, Any]:
    """The report with less of everything, so that many can be drawn."""
    data = copy.deepcopy(data)
    data["examples"], data["measures"] = data["examples"][:1], data["measures"][:1]
    data["examples"][0]["image"] = "data:image/png;base64,AAAA"
    return data


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of every value in a JSON document, but the document itself."""
    if isinstance(value, dict):
        pairs = list(value.items())
    elif isinstance(value, list):
        pairs = list(enumerate(value))[:3]
    else:
        pairs = []
    inner = [p for key, child in pairs for p in places(child, (*path, key))]
    return [*([path] if path else []), *inner]


@QUICK
@given(data=st.data())
def test_any_value_anywhere_is_drawn_or_refused(
    report_data: dict[str, Any], data: st.DataObject
) -> None:
    report = small(report_data)
    path = data.draw(st.sampled_from(places(report)))
    place: Any = report
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = data.draw(JSON)
    with suppress(DataError):  # anything else is a fault of ours
        assert render_report(read_report(report)).startswith("<!doctype html>")
