"""What a run would do, from its settings and its first records: what --dry_run shows."""

from collections import Counter
from collections.abc import Iterable, Mapping
from statistics import mean
from typing import Any

from diglot.core.batch import Batch
from diglot.data.collate import EncodedSample
from diglot.models.config import VLMConfig
from diglot.models.export.flow import find_containers
from diglot.models.trainable import count_part, set_trainable
from diglot.models.vlm import VLM
from diglot.train.batches import count_tokens
from diglot.train.config import StageConfig, resolve_stage
from diglot.train.datasets import TrainingData, open_data
from diglot.train.doubtful import warn_of_doubts, warn_of_short_rows
from diglot.train.lanes import make_lanes
from diglot.train.mixture import build_mixture
from diglot.train.order import Order, make_order
from diglot.train.run_model import open_model, with_stock_model
from diglot.train.samples import PreparedSamples

LEARNING_BYTES = 12  # of each parameter that learns: its gradient and AdamW's two means, float32
EXAMINED = 128  # records of each dataset that are prepared as in training


def summarise_stage(config: StageConfig) -> dict[str, Any]:
    """Build everything that the stage needs, prepare its first records, and count. Writes nothing.

    Raises ConfigError or DataError as the run would before its step 0.
    """
    config = resolve_stage(with_stock_model(config))
    data = open_data(config.sources, most=config.max_samples)
    objective = build_mixture(config.objective, config.plus, config.mix)
    lanes = make_lanes(data, objective.shares, objective.takes)
    order = make_order(config, lanes)
    warn_of_doubts(config, data, objective, order)
    vlm = open_model(config, objective, None)
    counts = [*set_trainable(vlm, config.trainable), count_part("heads", objective.heads)]
    samples = PreparedSamples(data, vlm.processor, objective, config.seed)
    made, by_source = _examine_records(samples, order)
    warn_of_short_rows(config.row_tokens, min((len(item.encoded) for item in made), default=0))
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
        "megabytes of weights": round(_weight_bytes(vlm) / 1e6, 1),
        "megabytes to learn them": round(LEARNING_BYTES * sum(c.learn for c in counts) / 1e6, 1),
        "exports to": _name_containers(config.model),
    }


def describe_work(config: StageConfig, data: TrainingData, order: Order, first: Batch) -> str:
    """The size of a run in one line; `first` has its first usable record alone."""
    tokens, visual = count_tokens([first]), sum(first.visual_counts)
    return (
        f"{len(data):,} records; {order.steps:,} steps, {config.global_batch} documents a step; "
        f"the first record has {visual} visual tokens, {tokens} positions in all"
    )


def _weight_bytes(vlm: VLM) -> int:
    return sum(p.numel() * p.element_size() for p in vlm.parameters())


def _name_containers(model: VLMConfig) -> list[str] | str:
    """Stock classes that will hold the result, or why none will."""
    if model.stock:
        return "its own container"
    fitting, nearest = find_containers(model)
    return fitting or f"none; {nearest}"


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
