"""Results of a study that never ran: every state that a job can be in."""

import math
from typing import Any

from diglot.studies.compare.summary import list_crossovers, median_costs, summary_table

HEADS = {
    "region_matching": ("Region matching", "accuracy", True, 0.25),
    "pointing": ("Pointing by cosine", "accuracy", True, 0.17),
    "caption_nll": ("Held-out caption loss", "nats per token", False, None),
}
ROWS = ("caption", "patch_aligned", "reconstruction", "token_contrastive", "mmcs", "mmcs <b>x</b>")
SIZES = (64, 128, 256, 512, 1024)


def smooth(key: str, row: int, samples: int, seed: int) -> float | None:
    """Smooth in log(samples), better for later rows, a little apart by seed."""
    rise = 0.07 * math.log2(samples / 32) + 0.05 * row + 0.04 * math.sin(7 * seed + row + samples)
    return 2.6 - rise if key == "caption_nll" else min(1.0, 0.2 + rise)


def job(row: int, samples: int, seed: int, state: str, score=smooth) -> dict[str, Any]:
    """One entry of `jobs`; only a job that is done has scores."""
    scores = {key: score(key, row, samples, seed) for key in HEADS if state == "done"}
    return {
        "row": ROWS[row],
        "samples": samples,
        "seed": seed,
        "state": state,
        "reason": "the loss is not finite <script>alert(1)</script>" if state == "failed" else None,
        "cost": {
            "train_seconds": samples * 0.4 * (1 + seed),
            "steps": samples // 4,
            "documents": samples * (2 if row == 2 else 1),
            "learned": {"text": samples * 31.0},
        },
        "scores": {key: interval(value) for key, value in scores.items()},
    }


def interval(value: float | None) -> dict[str, Any]:
    """A score of 90 items, or of none."""
    if value is None:
        return {"value": None, "low": None, "high": None, "n": 0}
    return {"value": value, "low": value - 0.05, "high": value + 0.04, "n": 90}


def made_up(
    *, rows: int = len(ROWS), sizes=SIZES, seeds=(0, 1), states=None, score=smooth
) -> dict[str, Any]:
    """results.json; `states` says what became of the jobs (row, size, seed) that are not done."""
    states = states or {}
    jobs = [
        job(row, samples, seed, states.get((row, samples, seed), "done"), score)
        for seed in seeds
        for samples in sizes
        for row in range(rows)
    ]
    heads = {key: head(key) for key in HEADS if any(job_record["scores"] for job_record in jobs)}
    labels = list(ROWS[:rows])
    return {
        "title": "Data efficiency & <more>",
        "about": "Made up.",
        "data": "data/scenes",
        "set": {"optim.lr": 1e-3},
        "baseline": "caption",
        "rows": {label: {"config": ["embedded/caption"], "set": {"a.b": 1}} for label in labels},
        "samples": list(sizes),
        "seeds": list(seeds),
        "measures": heads,
        "table": summary_table(jobs, list(heads)),
        "crossovers": list_crossovers(jobs, heads, labels, "caption"),
        "costs": median_costs(jobs),
        "jobs": jobs,
    }


def head(key: str) -> dict[str, Any]:
    """What a measure is."""
    title, unit, higher, chance = HEADS[key]
    return {
        "key": key,
        "title": title,
        "what": f"How {title} is measured.",
        "unit": unit,
        "higher_is_better": higher,
        "chance": chance,
    }
