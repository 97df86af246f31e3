"""Results of several checkpoints as one page's data, and as a reader meets it in a browser."""

import json
from pathlib import Path
from typing import Any

import pytest

from diglot.core.errors import ConfigError, DataError
from diglot.report.page import render_report, write_report
from diglot.report.results import MeasureFile, join_results, read_result
from diglot.report.schema import read_report


def entry(key: str, run: str, value: float | None, higher: bool | None = True) -> dict[str, Any]:
    result = {"value": value, "low": None, "high": None, "n": 4, "groups": {}, "details": {}}
    result["layers"] = {f"{key} by layer": [0.1, None, 0.3]}
    head = {"key": key, "title": f"<b>{key}</b>", "what": "how", "unit": "share", "chance": None}
    return {**head, "higher_is_better": higher, "options": {"k": 3}, "results": {run: result}}


def record(run: str, **changes: Any) -> dict[str, Any]:
    return {
        "format": 1,
        "runs": [run],
        "data": "scenes, test",
        "weights": "ab" * 32,
        "fingerprints": ["f"],
        "seed": 0,
        "settings": {"measures": {"layers": {"k": 3}}},
        "created": "2026-01-01T00:00:00+00:00",
        "seconds": 2.5,
        "environment": {"python": "3.11", "gpu": None, "packages": {"torch": "2.13.0"}},
        "measures": [entry("cka", run, 0.5), entry("entropy", run, 0.4, None)],
        "examples": [],
        **changes,
    }


def joined(*records: dict[str, Any]) -> dict[str, Any]:
    models = [MeasureFile.model_validate(one) for one in records]
    return join_results(models, title="Compared", command="diglot report a.json")


def test_three_checkpoints_stand_side_by_side_with_curves_by_layer() -> None:
    data = joined(*(record(run) for run in "abc"))
    report = read_report(data)
    assert report.runs == ("a", "b", "c")
    assert [measure.key for measure in report.measures] == ["cka", "entropy"]
    assert report.curves[0].series["b"] == ((0.0, 0.1), (1.0, None), (2.0, 0.3))
    assert report.environment["torch"] == "2.13.0"
    page = render_report(report)
    assert "By layer" in page
    assert "&lt;b&gt;cka&lt;/b&gt;" in page
    assert "<b>cka" not in page


def test_curves_begin_at_the_first_layer_that_any_run_has() -> None:
    """Attention has no weights at the input, which is no gap of its curve."""
    first, second = record("a"), record("b")
    for one, values in ((first, [None, 0.2, None]), (second, [None, None, 0.5])):
        one["measures"][0]["results"][one["runs"][0]]["layers"] = {"by layer": values}
    second["measures"][0]["results"]["b"]["layers_unit"] = "distance"
    curve = read_report(joined(first, second)).curves[0]
    assert curve.y_label == "distance"
    series = curve.series
    assert series["a"] == ((1.0, 0.2), (2.0, None))
    assert series["b"] == ((1.0, None), (2.0, 0.5))


def test_a_measure_without_a_better_side_says_none() -> None:
    other = record("b", measures=[entry("cka", "b", 0.9), entry("entropy", "b", 0.1, None)])
    page = render_report(read_report(joined(record("a"), other)))
    row = page.split('data-measure="entropy"')[1].split("</tr>")[0]
    assert "is better" not in row
    assert "is better" in page.split('data-measure="cka"')[1].split("</tr>")[0]


def test_what_makes_results_hard_to_compare_is_on_the_page() -> None:
    assert "compare with care" not in joined(record("a"), record("b"))["summary"]
    assert "compare with care" in joined(record("a"), record("b", fingerprints=["g"]))["summary"]
    assert "different settings" in joined(record("a"), record("b", seed=1))["summary"]
    with pytest.raises(DataError, match="two runs are called 'a'"):
        joined(record("a"), record("a"))


def test_results_without_a_measure_in_common_need_no_care() -> None:
    other = {"measures": [entry("counting", "a", 0.5)], "fingerprints": ["g"], "seed": 1}
    summary = joined(record("a"), record("a", data="photos, test", **other))["summary"]
    assert "photos, test." in summary
    assert "compare with care" not in summary
    assert "different settings" not in summary


def test_examples_of_the_same_sample_are_joined() -> None:
    shown = {"id": "s1", "token_maps": {"a": 1}}
    other = {"id": "s1", "token_maps": {"b": 2}}
    data = joined(record("a", examples=[shown]), record("b", examples=[other]))
    assert data["examples"] == [{"id": "s1", "token_maps": {"a": 1, "b": 2}}]


def test_curves_of_training_runs_are_joined_by_title() -> None:
    curve = {"title": "tacs while training", "x_label": "step", "y_label": "on the probe set"}
    runs = [
        record(run, measures=[], fingerprints=[], weights="", curves=[curve | {"series": {run: p}}])
        for run, p in (("a", [[1, 0.1], [5, 0.4]]), ("b", [[1, 0.2]]))
    ]
    report = read_report(joined(*runs))
    assert report.summary == "2 training runs: their losses and probes by step."
    assert report.curves_title == "While training"
    (figure,) = report.curves
    assert figure.series == {"a": ((1.0, 0.1), (5.0, 0.4)), "b": ((1.0, 0.2),)}
    assert "tacs while training" in render_report(report)
    both = joined(record("c"), *runs)
    assert both["curves_title"] == "By layer, and while training"
    assert "compare with care" not in both["summary"]


def test_what_is_no_result_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    with pytest.raises(ConfigError, match="cannot read"):
        read_result(path)
    for text, message in (("{", "not JSON"), ('{"format": 2}', "not a result"), ("[]", "result")):
        path.write_text(text)
        with pytest.raises(DataError, match=message):
            read_result(path)
    path.write_text(json.dumps(record("a")))
    assert read_result(path).runs == ["a"]


def test_the_page_in_a_browser_fits_a_phone_and_asks_for_nothing(
    browser: Any, tmp_path: Path
) -> None:
    path = write_report(joined(*(record(run) for run in "abcdefg")), tmp_path / "page.html")
    page = browser.new_page(viewport={"width": 390, "height": 800})
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: asked.append(message.text))
    page.goto(path.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.get_by_role("heading", name="By layer", exact=True).is_visible()
    assert page.locator("[data-measure=cka] [data-run=g]").is_visible()
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    page.close()


def test_one_checkpoint_in_two_records_is_one_run() -> None:
    """As our own harness and lmms-eval score it, each with its own form of the weights."""
    other = record(
        "a", measures=[entry("lmms.gqa", "a", 50.0)], weights="cd" * 32, data="lmms-eval"
    )
    report = read_report(joined(record("a"), other))
    assert report.runs == ("a",)
    assert [measure.key for measure in report.measures] == ["cka", "entropy", "lmms.gqa"]
    assert {"weights of a", "weights of a, lmms-eval"} <= set(report.settings)
    with pytest.raises(DataError, match="two runs are called 'a'"):
        joined(record("a"), other, record("a", measures=[entry("lmms.gqa", "a", 60.0)]))
