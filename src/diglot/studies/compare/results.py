"""What a comparison found so far: every measure x row x samples x seed, out of the run folders."""

import csv
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from diglot.config.parts import as_plain
from diglot.core.run_files import METRICS, read_metrics
from diglot.files import csv_cell
from diglot.studies.compare.config import CompareConfig
from diglot.studies.compare.jobs import Job
from diglot.studies.compare.rows import StudyRow
from diglot.studies.compare.summary import list_crossovers, median_costs, summary_table
from diglot.train.config import StageConfig
from diglot.train.lanes import lanes_of_one
from diglot.train.order import make_order

SCORE = ("value", "low", "high", "n")
COLUMNS = (
    *("row", "samples", "seed", "measure", *SCORE),
    *("train_seconds", "documents", "sft_seconds"),
)


def collect_results(
    config: CompareConfig, rows: Sequence[StudyRow], jobs: Sequence[Job]
) -> dict[str, Any]:
    """The results as plain JSON; jobs that are not done stand in it with their state."""
    measured = [(job, job.measures()) for job in jobs]
    heads: dict[str, dict[str, Any]] = {}
    for job, measures in measured:
        for key, entry in (measures or {}).items():
            if entry["results"][job.row]["n"]:  # a measure left out has no items
                heads.setdefault(key, {k: v for k, v in entry.items() if k != "results"})
    labels = [row.label for row in rows]
    baseline = config.baseline if config.baseline in labels else labels[0]  # or left out
    entries = [_job_entry(job, measures, list(heads)) for job, measures in measured]
    return {
        "title": config.title,
        "about": config.about,
        "data": config.data,
        "set": config.set,
        **_chain_entry(config),
        "baseline": baseline,
        "rows": {row.label: _row_entry(row) for row in rows},
        "samples": sorted({job.samples for job in jobs if job.pretrain}) or [0],
        "seeds": list(config.seeds),
        "measures": heads,
        "table": summary_table(entries, list(heads)),
        "crossovers": list_crossovers(entries, heads, labels, baseline),
        "costs": median_costs(entries),
        "jobs": entries,
    }


def _chain_entry(config: CompareConfig) -> dict[str, Any]:
    """What follows on every row's first stage, where anything does."""
    chain = {"sft": config.sft, "evaluate": config.evaluate}
    return {name: as_plain(what) for name, what in chain.items() if what is not None}


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
        "cost": training_cost(job),
        "scores": scores,
    }


def _row_entry(row: StudyRow) -> dict[str, Any]:
    """A row's recipes and settings; what it does to the chain stands where it does anything."""
    chain = {"pretrain": False} if not row.pretrain else {}
    chain |= {"sft": dict(row.sft)} if row.sft else {}
    return {"config": list(row.config), "set": dict(row.set), **chain}


def training_cost(job: Job) -> dict[str, Any]:
    """What the training took so far: seconds, and how much the recipe reads at this size.

    documents = passes of a sample through the objective, mixed-in ones too; learned = items that
    each loss term was a mean over, all steps together. With a second stage, its seconds too.
    """
    lines = _step_lines(job.stage)
    learned: Counter[str] = Counter()
    for line in lines:
        learned.update({k.removeprefix("items/"): v for k, v in line.items() if k[:6] == "items/"})
    sft = {"sft_seconds": _count_seconds(job.second)} if job.second else {}
    return {
        "train_seconds": _count_seconds(job.stage),
        "steps": len(lines),
        "documents": _count_documents(job),
        "learned": dict(learned),
        **sft,
    }


def _count_documents(job: Job) -> int:
    stage = job.stage
    shares = tuple(part["share"] for part in stage.mix.values())
    lanes = lanes_of_one(job.samples, shares)
    return make_order(stage, lanes).documents * stage.epochs if job.pretrain else 0


def _count_seconds(stage: StageConfig) -> float:
    return round(sum(line["seconds"] for line in _step_lines(stage)), 2)


def _step_lines(stage: StageConfig) -> list[dict[str, Any]]:
    """The lines of a run's figures that are of training steps."""
    return [line for line in read_metrics(Path(stage.out) / METRICS) if "lr" in line]


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
