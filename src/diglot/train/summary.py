"""What a run would do, from its settings and its first records: what --dry_run shows."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import mean
from typing import Any

from diglot.data.collate import EncodedSample
from diglot.models.checkpoint import load_weights
from diglot.models.trainable import count_part, set_trainable
from diglot.models.vlm import build_vlm
from diglot.train.config import StageConfig, resolve_stage
from diglot.train.datasets import open_data
from diglot.train.lanes import make_lanes
from diglot.train.mixture import build_mixture
from diglot.train.order import Order, make_order
from diglot.train.samples import PreparedSamples

EXAMINED = 128  # records of each dataset that are prepared as in training


def summarise_stage(config: StageConfig) -> dict[str, Any]:
    """Build everything that the stage needs, prepare its first records, and count. Writes nothing.

    Raises ConfigError or DataError as the run would before its step 0.
    """
    config = resolve_stage(config)
    data = open_data(config.sources, most=config.max_samples)
    objective = build_mixture(config.objective, config.plus, config.mix)
    lanes = make_lanes(data, objective.shares, objective.takes)
    order = make_order(config, lanes)
    vlm = build_vlm(config.model, seed=config.seed)
    if config.start_from:
        load_weights(vlm, Path(config.start_from))
    counts = [*set_trainable(vlm, config.trainable), count_part("heads", objective.heads)]
    samples = PreparedSamples(data, vlm.processor, objective, config.seed)
    made, by_source = _examine_records(samples, order)
    return {
        "records": len(data),
        **_sum_sources(by_source.values()),
        "visual tokens an image": _spread_of([len(grid) for item in made for grid in item.grids]),
        "tokens a record": _spread_of([len(item.encoded) for item in made if len(item.encoded)]),
        **({"datasets": by_source} if len(by_source) > 1 else {}),
        "steps": order.steps,
        "records a step": config.global_batch,
        "objectives": [config.objective.name, *config.plus, *config.mix],
        "learns": {count.part: count.learn for count in counts if count.total},
        "parameters": {count.part: count.total for count in counts if count.total},
    }


def _examine_records(
    samples: PreparedSamples, order: Order
) -> tuple[list[EncodedSample], dict[str, dict[str, Any]]]:
    """The usable ones of the first records, and what each dataset gives and why some are none.

    A record is prepared by the first of the objectives that it goes to.
    """
    made: list[EncodedSample] = []
    by_source: dict[str, dict[str, Any]] = {}
    for number, source in enumerate(samples.data.sources):
        lanes = [lane for lane in order.lanes if lane.source == number]
        reasons, usable = Counter[str](), len(made)
        stream_of = {
            index: lane.stream
            for lane in reversed(lanes)
            for index in lane.index_N[:EXAMINED].tolist()
        }
        for index in sorted(stream_of)[:EXAMINED]:
            item = samples[0, stream_of[index], index]
            if isinstance(item, EncodedSample):
                made.append(item)
            else:
                reasons[item.reason] += 1
        by_source[source.name] = {
            "records": source.records,
            "documents an epoch": sum(lane.documents for lane in lanes),
            "examined": len(made) - usable + reasons.total(),
            "usable": len(made) - usable,
            "rejected": dict(reasons),
        }
    return made, by_source


def _sum_sources(by_source: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Examined, usable and rejected records of all datasets."""
    entries, reasons = list(by_source), Counter[str]()
    for entry in entries:
        reasons.update(entry["rejected"])
    sums = {name: sum(entry[name] for entry in entries) for name in ("examined", "usable")}
    return {**sums, "rejected": dict(reasons)}


def _spread_of(values: list[int]) -> dict[str, float] | None:
    """Least, mean and most; None of nothing."""
    if not values:
        return None
    return {"least": min(values), "mean": round(mean(values), 1), "most": max(values)}
