"""From a comparison's results to its page."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from statistics import mean
from typing import Any

from diglot.core.result import HEAD
from diglot.report.comparison import Comparison, Ended, RowCost, RowCrossover, SizedMeasure
from diglot.report.schema import MeasureByRun, Score
from diglot.studies.compare.summary import at_every_size

Results = Mapping[str, Any]  # results.json
DETAILS = ("scene", "text", "ask")  # of the questions: too long for the page, in results.json


def make_comparison(results: Results, environment: Mapping[str, str], command: str) -> Comparison:
    """What the page shows of results that may be of a half-finished study."""
    results = at_every_size(results)
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
            label: (tuple(row["config"]), _list_row_settings(row))
            for label, row in results["rows"].items()
        },
        samples=tuple(results["samples"]),
        seeds=tuple(results["seeds"]),
        baseline=results["baseline"],
        measures=tuple(_sized_measure(results, key) for key in results["measures"]),
        crossovers=tuple(_row_crossover(entry) for entry in results["crossovers"]),
        costs=tuple(RowCost(**cost) for cost in results["costs"]),
        settings=_list_settings(results, command),
        environment=environment,
    )


def _list_row_settings(row: Mapping[str, Any]) -> dict[str, str]:
    """What a row sets in its first stage, that it has none, and what it adds to the second."""
    settings = {**row["set"], **{f"sft.{k}": v for k, v in row.get("sft", {}).items()}}
    settings |= {"pretrain": False} if "pretrain" in row else {}
    return {name: _setting_text(value) for name, value in settings.items()}


def _list_settings(results: Results, command: str) -> dict[str, str]:
    settings = {"command": command, "data": results["data"]}
    settings |= {name: _setting_text(results[name]) for name in ("samples", "seeds")}
    for name in ("sft", "evaluate"):
        chosen = {k: v for k, v in results.get(name, {}).items() if k not in DETAILS}
        settings |= {name: _setting_text(chosen)} if chosen else {}
    return settings | (
        {"over every row's recipes": _setting_text(results["set"])} if results["set"] else {}
    )


def _sized_measure(results: Results, key: str) -> SizedMeasure:
    head = results["measures"][key]
    scores: dict[str, dict[int, Score]] = {}
    widths = []
    for entry in results["table"]:
        if entry["measure"] == key:
            scores.setdefault(entry["row"], {})[entry["samples"]] = _row_score(entry)
            widths += [entry["half_width"]] if entry["half_width"] is not None else []
    return SizedMeasure(
        measure=MeasureByRun(**{name: head[name] for name in HEAD}, results={}),
        scores=scores,
        half_width=mean(widths) if widths else None,
        items=_count_items(results, key),
    )


def _count_items(results: Results, key: str) -> tuple[int, int]:
    """Held-out items of a run with a score: the fewest and the most."""
    scores = [job["scores"][key] for job in results["jobs"] if key in job["scores"]]
    counts = [score["n"] for score in scores if score["value"] is not None]
    return min(counts, default=0), max(counts, default=0)


def _row_score(entry: Mapping[str, Any]) -> Score:
    several = entry["seeds"] > 1
    low, high = (entry["min"], entry["max"]) if several else (None, None)
    return Score(value=entry["mean"], low=low, high=high, n=entry["seeds"])


def _row_crossover(entry: Mapping[str, Any]) -> RowCrossover:
    return RowCrossover(
        measure=entry["measure"],
        row=entry["row"],
        other=entry["other"],
        samples=entry["samples"],
        ratio=entry["ratio"],
        at_least=entry["at_least"],
        lowest=entry["lowest_ratio"],
        lowest_at_least=entry["lowest_at_least"],
        highest=entry["highest_ratio"],
        highest_at_least=entry["highest_at_least"],
        seeds=entry["seeds"],
    )


def _setting_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
