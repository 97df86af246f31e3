"""What a comparison found so far: every measure x row x samples x seed, out of the run folders."""

import csv
import io
from collections import Counter
from collections.abc import Sequence
from typing import Any

from diglot.files import csv_cell
from diglot.studies.compare.config import CompareConfig
from diglot.studies.compare.jobs import Job
from diglot.studies.compare.rows import Row
from diglot.studies.compare.summary import costs, crossovers, table
from diglot.train.lanes import lanes_of_one
from diglot.train.order import make_order
from diglot.train.trackers import read_metrics

SCORE = ("value", "low", "high", "n")
COLUMNS = ("row", "samples", "seed", "measure", *SCORE, "train_seconds", "documents")


def collect(config: CompareConfig, rows: Sequence[Row], jobs: Sequence[Job]) -> dict[str, Any]:
    """The results as plain JSON; jobs that are not done stand in it with their state."""
    measured = [(job, job.measures()) for job in jobs]
    heads: dict[str, dict[str, Any]] = {}
    for job, measures in measured:
        for key, entry in (measures or {}).items():
            if entry["results"][job.row]["n"]:  # a measure left out has no items
                heads.setdefault(key, {k: v for k, v in entry.items() if k != "results"})
    labels, baseline = [row.label for row in rows], config.baseline or rows[0].label
    entries = [_job_entry(job, measures, list(heads)) for job, measures in measured]
    return {
        "title": config.title,
        "about": config.about,
        "data": config.data,
        "set": config.set,
        "baseline": baseline,
        "rows": {row.label: {"config": list(row.config), "set": dict(row.set)} for row in rows},
        "samples": sorted({job.samples for job in jobs}),
        "seeds": list(config.seeds),
        "measures": heads,
        "table": table(entries, list(heads)),
        "crossovers": crossovers(entries, heads, labels, baseline),
        "costs": costs(entries),
        "jobs": entries,
    }


def _job_entry(job: Job, measures: dict[str, Any] | None, keys: Sequence[str]) -> dict[str, Any]:
    reason = None if measures else job.failure()
    state = "done" if measures else "failed" if reason else "waiting"
    scores = {
        key: (measures or {})[key]["results"][job.row] for key in keys if key in (measures or {})
    }
    return {
        "row": job.row,
        "samples": job.samples,
        "seed": job.seed,
        "state": state,
        "reason": reason,
        "cost": cost(job),
        "scores": scores,
    }


def cost(job: Job) -> dict[str, Any]:
    """What the training took so far: seconds, and how much the recipe reads at this size.

    documents = passes of a sample through the objective, mixed-in ones too; learned = items that
    each loss term was a mean over, all steps together.
    """
    lines = read_metrics(job.folder / "metrics.jsonl")
    steps = [line for line in lines if "lr" in line]
    learned: Counter[str] = Counter()
    for line in steps:
        learned.update({k.removeprefix("items/"): v for k, v in line.items() if k[:6] == "items/"})
    stage = job.stage
    shares = tuple(part["share"] for part in stage.mix.values())
    order = make_order(stage, lanes_of_one(job.samples, shares))
    return {
        "train_seconds": round(sum(line["seconds"] for line in steps), 2),
        "steps": len(steps),
        "documents": order.documents * stage.epochs,
        "learned": dict(learned),
    }


def as_csv(results: dict[str, Any]) -> str:
    """One line per measure of every job; a job without measures has one line and no measure."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    for job in results["jobs"]:
        for key, score in (job["scores"] or {"": {}}).items():
            cells = {**job["cost"], **job, **score, "measure": key}
            writer.writerow({name: csv_cell(value) for name, value in cells.items()})
    return out.getvalue()
