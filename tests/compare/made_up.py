"""Results of a study that never ran: every state that a job can be in."""

import math
from typing import Any

from diglot.compare.summary import costs, meetings, table

HEADS = {
    "region_matching": ("Region matching", "accuracy", True, 0.25),
    "pointing": ("Pointing by cosine", "accuracy", True, 0.17),
    "caption_nll": ("Held-out caption loss", "nats per token", False, None),
}
ROWS = ("caption", "patch_aligned", "reconstruction", "token_contrastive", "mmcs", "mmcs <b>x</b>")
SIZES = (64, 128, 256, 512, 1024)


def score(key: str, row: int, samples: int, seed: int) -> float:
    """Smooth in log(samples), higher for later rows, a little apart by seed."""
    rise = 0.07 * math.log2(samples / 32) + 0.05 * row + 0.04 * math.sin(7 * seed + row + samples)
    return 2.6 - rise if key == "caption_nll" else min(1.0, 0.2 + rise)


def job(row: int, samples: int, seed: int, state: str = "done") -> dict[str, Any]:
    scores = {}
    if state == "done":
        for key in HEADS:
            value = score(key, row, samples, seed)
            scores[key] = {"value": value, "low": value - 0.05, "high": value + 0.04, "n": 90}
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
        "scores": scores,
    }


def made_up(*, rows: int = len(ROWS), sizes=SIZES, seeds=(0, 1), states=None) -> dict[str, Any]:
    """results.json; `states` says what became of the jobs (row, samples, seed) that are not done."""
    states = states or {}
    jobs = [
        job(row, samples, seed, states.get((row, samples, seed), "done"))
        for seed in seeds
        for samples in sizes
        for row in range(rows)
    ]
    keys = [key for key in HEADS if any(key in told["scores"] for told in jobs)]
    heads = {}
    for key in keys:
        title, unit, higher, chance = HEADS[key]
        heads[key] = {"key": key, "title": title, "what": f"How {title} is measured.", "unit": unit}
        heads[key] |= {"higher_is_better": higher, "chance": chance}
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
        "table": table(jobs, keys),
        "meetings": meetings(jobs, heads, labels, "caption"),
        "costs": costs(jobs),
        "jobs": jobs,
    }
