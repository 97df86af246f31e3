"""What a run would do, from its settings and its first records: what --dry_run shows."""

from collections import Counter
from pathlib import Path
from statistics import mean
from typing import Any

from diglot.data.collate import EncodedSample
from diglot.data.labels import open_labels
from diglot.data.records import open_dataset
from diglot.models.checkpoint import load_weights
from diglot.models.trainable import count_part, set_trainable
from diglot.models.vlm import build_vlm
from diglot.train.config import StageConfig, resolve_stage
from diglot.train.mixture import build_mixture
from diglot.train.order import Order
from diglot.train.samples import PreparedSamples

EXAMINED = 128  # records that are prepared as in training


def summarise_stage(config: StageConfig) -> dict[str, Any]:
    """Build everything that the stage needs, prepare its first records, and count. Writes nothing.

    Raises ConfigError or DataError as the run would before its step 0.
    """
    config = resolve_stage(config)
    dataset = open_dataset(Path(config.data), config.split)
    labels = open_labels(Path(config.labels), dataset) if config.labels else None
    objective = build_mixture(config.objective, config.plus, config.mix)
    vlm = build_vlm(config.model, seed=config.seed)
    if config.start_from:
        load_weights(vlm, Path(config.start_from))
    counts = [*set_trainable(vlm, config.trainable), count_part("heads", objective.heads)]
    records = min(len(dataset), config.max_samples or len(dataset))
    order = Order(
        records, config.global_batch, config.epochs, config.seed, objective.shares, config.max_steps
    )
    samples = PreparedSamples(dataset, vlm.processor, objective, config.seed, None, labels)
    return {
        "records": records,
        **_examine(samples, records),
        "steps": order.steps,
        "records a step": config.global_batch,
        "objectives": [config.objective.name, *config.plus, *config.mix],
        "learns": {count.part: count.learn for count in counts if count.total},
        "parameters": {count.part: count.total for count in counts if count.total},
    }


def _examine(samples: PreparedSamples, records: int) -> dict[str, Any]:
    """Usable ones among the first records, their tokens, and why the others are rejected."""
    made, reasons = list[EncodedSample](), Counter[str]()
    for index in range(min(records, EXAMINED)):
        item = samples[0, 0, index]
        if isinstance(item, EncodedSample):
            made.append(item)
        else:
            reasons[item.reason] += 1
    grids = [len(grid) for item in made for grid in item.grids]
    return {
        "examined": len(made) + reasons.total(),
        "usable": len(made),
        "rejected": dict(reasons),
        "visual tokens an image": _spread(grids),
        "tokens a record": _spread([len(item.encoded) for item in made if len(item.encoded)]),
    }


def _spread(values: list[int]) -> dict[str, float] | None:
    """Least, mean and most; None of nothing."""
    if not values:
        return None
    return {"least": min(values), "mean": round(mean(values), 1), "most": max(values)}
