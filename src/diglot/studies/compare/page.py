"""From a comparison's results to its page."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from statistics import mean
from typing import Any

from diglot.report.comparison import Comparison, Ended, RowCost, RowMeeting, SizedMeasure
from diglot.report.schema import Measure, Score

Results = Mapping[str, Any]  # results.json


def comparison(results: Results, environment: Mapping[str, str], command: str) -> Comparison:
    """What the page shows of results that may be of a half-finished study."""
    jobs = results["jobs"]
    failed = [job for job in jobs if job["state"] == "failed"]
    return Comparison(
        title=results["title"],
        about=results["about"],
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        runs=len(jobs),
        done=sum(job["state"] == "done" for job in jobs),
        failed=tuple(
            Ended(row=j["row"], samples=j["samples"], seed=j["seed"], reason=j["reason"])
            for j in failed
        ),
        rows={
            label: (tuple(told["config"]), {k: _text(v) for k, v in told["set"].items()})
            for label, told in results["rows"].items()
        },
        samples=tuple(results["samples"]),
        seeds=tuple(results["seeds"]),
        baseline=results["baseline"],
        measures=tuple(_sized(results, key) for key in results["measures"]),
        meetings=tuple(_meeting(told) for told in results["meetings"]),
        costs=tuple(RowCost(**told) for told in results["costs"]),
        settings=_settings(results, command),
        environment=environment,
    )


def _settings(results: Results, command: str) -> dict[str, str]:
    told = {"command": command, "data": results["data"]}
    told |= {name: _text(results[name]) for name in ("samples", "seeds")}
    return told | ({"over every row's recipes": _text(results["set"])} if results["set"] else {})


def _sized(results: Results, key: str) -> SizedMeasure:
    head = results["measures"][key]
    scores: dict[str, dict[int, Score]] = {}
    widths = []
    for told in results["table"]:
        if told["measure"] == key:
            scores.setdefault(told["row"], {})[told["samples"]] = _score(told)
            widths += [told["half_width"]] if told["half_width"] is not None else []
    return SizedMeasure(
        measure=Measure(**head, results={}),
        scores=scores,
        half_width=mean(widths) if widths else None,
    )


def _score(told: Mapping[str, Any]) -> Score:
    several = told["seeds"] > 1
    low, high = (told["min"], told["max"]) if several else (None, None)
    return Score(value=told["mean"], low=low, high=high, n=told["seeds"])


def _meeting(told: Mapping[str, Any]) -> RowMeeting:
    return RowMeeting(
        measure=told["measure"],
        row=told["row"],
        other=told["other"],
        samples=told["samples"],
        ratio=told["ratio"],
        at_least=told["at_least"],
        lowest=told["lowest_ratio"],
        lowest_at_least=told["lowest_at_least"],
        highest=told["highest_ratio"],
        highest_at_least=told["highest_at_least"],
        seeds=told["seeds"],
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
