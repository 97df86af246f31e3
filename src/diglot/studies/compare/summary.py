"""From the scores of all jobs: means with their spread over seeds, costs, crossovers of rows."""

from collections.abc import Mapping, Sequence
from statistics import mean, median
from typing import Any

from diglot.report.comparison import spread_sizes
from diglot.studies.compare.crossover import Crossovers, find_crossovers

Jobs = Sequence[Mapping[str, Any]]  # as results.json holds them


def summary_table(jobs: Jobs, keys: Sequence[str]) -> list[dict[str, Any]]:
    """For each row, size and measure: mean, min and max over the seeds that are there.

    `half_width` is the mean half width of the 95% intervals over held-out items, of single runs.
    """
    scores_at: dict[tuple[str, int, str], list[Mapping[str, Any]]] = {}
    for key in keys:
        for job in jobs:
            if (score := _job_score(job, key)) is not None:
                scores_at.setdefault((job["row"], job["samples"], key), []).append(score)
    return [
        {"row": row, "samples": samples, "measure": key, **_over_seeds(scores)}
        for (row, samples, key), scores in scores_at.items()
    ]


def _over_seeds(scores: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    values = [score["value"] for score in scores]
    widths = [(s["high"] - s["low"]) / 2 for s in scores if None not in (s["low"], s["high"])]
    return {
        "mean": mean(values),
        "min": min(values),
        "max": max(values),
        "seeds": len(values),
        "half_width": mean(widths) if widths else None,
    }


def list_crossovers(
    jobs: Jobs, measures: Mapping[str, Mapping[str, Any]], rows: Sequence[str], baseline: str
) -> list[dict[str, Any]]:
    """For each measure, the crossover of each row with the baseline, and of the baseline with it.

    Nothing where there is but one size, nor for a row that learns from no sample.
    """
    if len({job["samples"] for job in jobs if job["samples"]}) < 2:
        return []
    jobs = [job for job in jobs if job["samples"]]
    pairs = [p for row in rows if row != baseline for p in ((row, baseline), (baseline, row))]
    return [
        {"measure": key, "row": row, "other": other, **_find_crossover(jobs, head, row, other)}
        for key, head in measures.items()
        if head["higher_is_better"] is not None
        for row, other in pairs
        if scores_by_seed(jobs, key, row) and scores_by_seed(jobs, key, other)
    ]


def _find_crossover(jobs: Jobs, head: Mapping[str, Any], row: str, other: str) -> dict[str, Any]:
    found = find_crossovers(
        scores_by_seed(jobs, head["key"], row),
        scores_by_seed(jobs, head["key"], other),
        higher_is_better=head["higher_is_better"],
    )
    return _plain_crossover(found)


def _plain_crossover(found: Crossovers) -> dict[str, Any]:
    low, high = found.spread
    return {
        "samples": found.mean.samples,
        "ratio": found.mean.ratio,
        "at_least": found.mean.at_most,  # at most so many samples is at least such a ratio
        "seeds": len(found.by_seed),
        "lowest_ratio": low,
        "lowest_at_least": any(m.at_most and m.ratio == low for m in found.by_seed.values()),
        "highest_ratio": high,
        "highest_at_least": any(m.at_most and m.ratio == high for m in found.by_seed.values()),
    }


def scores_by_seed(jobs: Jobs, key: str, row: str) -> dict[int, dict[int, float]]:
    """Seed -> number of samples -> score, of one row on one measure."""
    found: dict[int, dict[int, float]] = {}
    for job in jobs:
        score = _job_score(job, key)
        if job["row"] == row and score is not None:
            found.setdefault(job["seed"], {})[job["samples"]] = score["value"]
    return found


def _job_score(job: Mapping[str, Any], key: str) -> Mapping[str, Any] | None:
    score = job["scores"].get(key)
    return score if score is not None and score["value"] is not None else None


def median_costs(jobs: Jobs) -> list[dict[str, Any]]:
    """For each row and size: documents of one run, and the median seconds of its stages."""
    costs_at: dict[tuple[str, int], list[Mapping[str, Any]]] = {}
    for job in jobs:
        if job["state"] == "done":
            costs_at.setdefault((job["row"], job["samples"]), []).append(job["cost"])
    return [
        {
            "row": row,
            "samples": samples,
            "documents": found[0]["documents"],
            "learned": found[0]["learned"],
            "train_seconds": median(cost["train_seconds"] for cost in found),
            **_second_seconds(found),
        }
        for (row, samples), found in costs_at.items()
    ]


def _second_seconds(found: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    seconds = [cost["sft_seconds"] for cost in found if "sft_seconds" in cost]
    return {"sft_seconds": median(seconds)} if seconds else {}


def at_every_size(results: Mapping[str, Any]) -> dict[str, Any]:
    """results.json, a row without a first stage standing at every size with what it has at none."""
    expanded = {
        name: [
            {**entry, "samples": size}
            for entry in results[name]
            for size in spread_sizes(entry["samples"], results["samples"])
        ]
        for name in ("table", "costs")
    }
    return {**results, **expanded}
