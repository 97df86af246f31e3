"""Opening a dataset of many shards: seconds, bytes a record, random and sequential reads a second.

One shard is written and copied, so ids come again; nothing here depends on them.
"""

import random
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from time import process_time
from typing import Any

import pyarrow as pa
from rich.console import Console
from rich.table import Table

from benchmarks.shapes import PAPER, samples
from diglot.data.records import Dataset, open_dataset, write_dataset
from diglot.data.writer import SHARD_SAMPLES

SHARDS, READS = 391, 500  # 100,096 records


def run(console: Console, *, layers: int, gemm_flops: float) -> dict[str, Any]:
    """Figures of one process; seconds are CPU time."""
    with tempfile.TemporaryDirectory() as folder:
        figures = _measure(_write_shards(Path(folder)))
    table = Table(title=f"A dataset of {SHARDS * SHARD_SAMPLES:,} records")
    table.add_column("what")
    table.add_column("figure", justify="right")
    for what, figure in figures.items():
        table.add_row(what, f"{figure:,.3g}")
    console.print(table)
    return figures


def _write_shards(folder: Path) -> Path:
    few = samples(PAPER)
    write_dataset(
        (replace(few[i % len(few)], id=f"s-{i:07d}") for i in range(SHARD_SAMPLES)), folder
    )
    (folder / "dataset.json").unlink()
    for number in range(1, SHARDS):
        shutil.copy(folder / "train-00000.parquet", folder / f"train-{number:05d}.parquet")
    return folder


def _measure(folder: Path) -> dict[str, float]:
    first_s, dataset = _timed(lambda: open_dataset(folder))
    again_s, _ = _timed(lambda: open_dataset(folder))
    columns_s, held = _timed(lambda: _held_bytes(dataset))
    rng = random.Random(0)
    drawn = [rng.randrange(len(dataset)) for _ in range(READS)]
    random_s, _ = _timed(lambda: [dataset[i] for i in drawn])
    ordered_s, _ = _timed(lambda: [dataset[i] for i in range(READS)])
    return {
        "opened first, s": first_s,
        "opened again, s": again_s,
        "ids, sizes, labels and kinds read, s": columns_s,
        "of these held, bytes a record": held / len(dataset),
        "random reads a second": READS / random_s,
        "sequential reads a second": READS / ordered_s,
    }


def _held_bytes(dataset: Dataset) -> int:
    before = pa.total_allocated_bytes()
    _ = dataset.ids, dataset.sizes_hw, dataset.labels
    return pa.total_allocated_bytes() - before + dataset.conversations.nbytes


def _timed(work: Any) -> tuple[float, Any]:
    began = process_time()
    made = work()
    return process_time() - began, made
