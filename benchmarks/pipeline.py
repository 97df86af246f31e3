"""What stands before the model: geometry and layout, packing, pictures, datasets, features."""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.machine import seconds
from benchmarks.shapes import PAPER, model, samples
from diglot.core.layout import encode, pack
from diglot.core.preprocess import Preprocess
from diglot.data.records import open_dataset, write_dataset
from diglot.objectives import code_switch


def run(console: Console, *, layers: int, gemm_flops: float) -> dict[str, Any]:
    """Items a second of each part, one thread of Python."""
    rates = {**_layout_rates(), **_cover_rates(), **_dataset_rates()}
    table = Table(title="Before the model: items a second")
    table.add_column("what")
    table.add_column("a second", justify="right")
    for what, rate in rates.items():
        table.add_row(what, f"{rate:,.0f}")
    console.print(table)
    return rates


def _layout_rates() -> dict[str, float]:
    vlm = model(PAPER, layers=1)
    objective = code_switch.build(code_switch.Config())
    made = samples(PAPER)
    arguments = [
        (s, (vlm.token_grid(s.size_hw),), vlm.language.tokenizer, torch.Generator()) for s in made
    ]
    sequences = [objective.prepare(*a).sequence for a in arguments]
    visual = len(arguments[0][1][0])
    encoded = [encode(s or (), visual_counts=[visual], terms=objective.terms) for s in sequences]
    return {
        "samples prepared (paper shape)": len(made)
        / seconds(lambda: [objective.prepare(*a) for a in arguments]),
        "samples encoded (paper shape)": len(made)
        / seconds(
            lambda: [
                encode(s or (), visual_counts=[visual], terms=objective.terms) for s in sequences
            ]
        ),
        "samples packed (paper shape)": len(made) / seconds(lambda: pack(encoded, row_tokens=8192)),
    }


def _cover_rates() -> dict[str, float]:
    grid = Preprocess(mode="tiles", image_px=384).token_grid((768, 768), patch_px=16, unshuffle=2)
    mask = np.zeros((768, 768), bool)
    mask[100:400, 200:500] = True
    box = (200.0, 100.0, 500.0, 400.0)
    return {
        "box covers (720 tokens)": 1 / seconds(lambda: grid.box_cover(box), repeats=20),
        "mask covers (720 tokens, 768 px)": 1 / seconds(lambda: grid.mask_cover(mask), repeats=20),
    }


def _dataset_rates() -> dict[str, float]:
    made = samples(PAPER) * 100
    unique = [replace(s, id=f"{s.id}/{i}") for i, s in enumerate(made)]
    with tempfile.TemporaryDirectory() as folder:
        written = len(unique) / seconds(
            lambda: write_dataset(unique, Path(tempfile.mkdtemp(dir=folder)) / "d"), warmup=0
        )
        write_dataset(unique, Path(folder) / "read")
        dataset = open_dataset(Path(folder) / "read")
        order = torch.randperm(len(dataset)).tolist()
        read = len(dataset) / seconds(lambda: [dataset[i] for i in order], warmup=0)
    return {"records written": written, "records read at random": read}
