"""What a run left behind, and rows to damage a dataset with."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.torch import load_file

from diglot.core.run_files import read_metrics
from diglot.data.schema import arrow_schema, to_row
from tests.tiny_folders import tiny_samples


def figures(out: Path) -> list[dict[str, Any]]:
    """Every recorded figure but the seconds."""
    lines = read_metrics(out / "metrics.jsonl")
    return [
        {k: v for k, v in line.items() if k not in ("seconds", "probe/seconds")} for line in lines
    ]


def steps(out: Path) -> list[dict[str, Any]]:
    """The lines of steps; one that supervised nothing has no loss."""
    return [line for line in figures(out) if "lr" in line]


def losses(out: Path) -> list[float]:
    return [line["loss"] for line in read_metrics(out / "metrics.jsonl") if "loss" in line]


def weights(out: Path, part: str = "projector") -> dict[str, Any]:
    return load_file(out / "model" / f"{part}.safetensors")


def rejected(out: Path) -> list[dict[str, str]]:
    path = out / "rejected.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def rows(count: int, *, seed: int = 0) -> list[dict[str, Any]]:
    """Good records as rows, to be damaged."""
    return [to_row(sample) for sample in tiny_samples(count, seed=seed)]


def write_rows(folder: Path, payloads: list[dict[str, Any]]) -> Path:
    """A dataset folder of these rows as they are, unchecked."""
    folder.mkdir(parents=True)
    pq.write_table(
        pa.Table.from_pylist(payloads, schema=arrow_schema()), folder / "train-00000.parquet"
    )
    return folder
