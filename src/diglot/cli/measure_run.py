"""What `diglot measure` does once its options are read; this loads the model libraries."""

import os
from pathlib import Path
from typing import Any

from accelerate import PartialState
from rich.table import Table

from diglot.cli.console import open_console, print_rejected
from diglot.cli.progress import show_progress
from diglot.core.distributed import joins_on_cpu, launched_processes
from diglot.core.progress import ignore_progress
from diglot.data.checks.box_units import warn_of_boxes
from diglot.data.config import FeaturesConfig, check_cache
from diglot.data.records import open_dataset
from diglot.measure.checkpoint import Scenes, checkpoint_folder
from diglot.measure.config import MeasureConfig, check_measures
from diglot.studies.measured import Measurement, keep_measurement

ARROWS = {True: "↑", False: "↓", None: ""}


def run_measure(
    *,
    checkpoint: Path,
    data: Path,
    json: Path,
    split: str,
    train_split: str | None,
    samples: int | None,
    label: str | None,
    measure: MeasureConfig,
    random_projector: bool,
    features: Path | None,
    examples: int,
    points: int,
    seed: int,
) -> None:
    """Measure the alignment of a checkpoint on a dataset; the result is one JSON file."""
    check_measures(measure)
    if features:
        check_cache(features)
    model = checkpoint_folder(checkpoint)
    main = join_processes()
    scenes = Scenes(
        train=open_dataset(data, train_split) if train_split else None,
        held_out=open_dataset(data, split),
        features=FeaturesConfig(folder=str(features)) if features else None,
        rejected=json.with_suffix(".rejected.jsonl" if main else f".rejected.{os.getpid()}.jsonl"),
        first=samples,
    )
    if main:
        warn_of_boxes(data, split)
    name = label or (checkpoint.resolve() if checkpoint == model else checkpoint).name
    job = Measurement(
        model=model,
        scenes=scenes,
        data=f"{data.name}, {split}",
        chosen=measure,
        labels=(name, f"{name}, random projector") if random_projector else (name,),
        examples=examples,
        points=points,
        seed=seed,
        own_list=True,
    )
    console = open_console()
    with show_progress() as report:
        record, kept = keep_measurement(job, json, report if main else ignore_progress)
    if not main:
        scenes.rejected.unlink(missing_ok=True)  # the first process lists the same
        return
    if kept:
        console.print(f"{json}: measured already, of the same weights, data and settings")
    console.print(_measures_table(record))
    print_rejected(console, record.get("rejected", {}), scenes.rejected)


def join_processes() -> bool:
    """Join the other processes that torchrun started, if any; whether this one is the first."""
    if launched_processes() == 1:
        return True
    return PartialState(cpu=joins_on_cpu()).is_main_process


def _measures_table(record: dict[str, Any]) -> Table:
    table = Table("measure", "unit", *record["runs"], "chance", title=record["data"])
    for entry in record["measures"]:
        results = [entry["results"].get(run) for run in record["runs"]]
        chance = entry["chance"]
        table.add_row(
            f"{entry['title']} {ARROWS[entry['higher_is_better']]}",
            entry["unit"],
            *(_format_score(result) for result in results),
            "" if chance is None else f"{chance:.3f}",
        )
    return table


def _format_score(result: dict[str, Any] | None) -> str:
    if result is None or result["value"] is None:
        return "not measured"
    low, high = result["low"], result["high"]
    span = "" if low is None or high is None else f" ({low:.3f} to {high:.3f})"
    return f"{result['value']:.3f}{span}, n {result['n']}"
