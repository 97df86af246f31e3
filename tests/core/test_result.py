import json

from diglot.core.result import NOT_MEASURED, Estimate, Measure, side_by_side
from diglot.report.schema import read_report


def measure(key, value):
    estimate = Estimate(value=value, low=value - 0.1, high=value + 0.1, n=9)
    return Measure(
        key=key,
        title=key.title(),
        what="How.",
        unit="accuracy",
        higher_is_better=True,
        chance=0.25,
        estimate=estimate,
        groups={"unseen": estimate, "none": NOT_MEASURED},
        details={"left": 2},
    )


def test_runs_stand_side_by_side_as_the_report_reads_them():
    runs = {
        "caption": {"a": measure("a", 0.3), "b": measure("b", 0.4)},
        "code_switch": {"a": measure("a", 0.6)},
    }
    results = [{k: m.to_json(run) for k, m in measures.items()} for run, measures in runs.items()]
    merged = side_by_side(results)
    assert set(results[0]["a"]["results"]) == {"caption"}  # what came in stays as it was
    entries = json.loads(json.dumps(list(merged.values()), allow_nan=False))
    assert [entry["key"] for entry in entries] == ["a", "b"]
    assert set(entries[0]["results"]) == {"caption", "code_switch"}
    assert entries[0]["results"]["code_switch"]["value"] == 0.6
    empty = {name: [] for name in ("curves", "timings", "examples")}
    texts = {name: "x" for name in ("title", "created", "summary")}
    report = {**empty, **texts, "settings": {}, "environment": {}, "runs": list(runs)}
    for read in read_report({**report, "measures": entries}).measures:
        assert read.results["caption"].groups["none"].value is None
    assert measure("a", 0.3).to_json("x")["results"]["x"]["details"] == {"left": 2}


def test_an_interval_is_cut_at_what_the_figure_can_be():
    wide = Estimate(value=0.8, low=-0.2, high=1.3, n=3)
    assert wide.within(0.0, 1.0) == Estimate(value=0.8, low=0.0, high=1.0, n=3)
    assert wide.within(float("-inf"), 1.0).low == -0.2
    assert NOT_MEASURED.within(0.0, 1.0) == NOT_MEASURED
