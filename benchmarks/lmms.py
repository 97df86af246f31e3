"""Written answers by our own harness and by lmms-eval's class: same checkpoint, questions, batch.

Needs lmms-eval in an environment of its own (`make lmms`, or DIGLOT_LMMS_PYTHON). Whole commands
are timed, few questions and many: the difference is what questions cost, without the start.
Clock seconds and CPU seconds (user and system, of all that a command starts): other work on the
machine adds to the first alone.
The checkpoint is a random CLIP tower (256 patches) before the embedded language model, as stock
Llava; both harnesses write the same answers (tests/evaluate/test_lmms.py).
"""

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from transformers import CLIPVisionConfig, CLIPVisionModel

from diglot.models.checkpoint import save_vlm
from diglot.models.config import EncoderPart, ProjectorPart
from diglot.models.vlm import VLMConfig, build_vlm

PYTHON = os.environ.get("DIGLOT_LMMS_PYTHON", "build/lmms/bin/python")
FEW, MANY, TOKENS, ROUNDS = 4, 28, 12, 3
BATCH = 1  # the most that its class for Llava takes
Times = dict[str, float]  # by clock
TOWER: dict[str, Any] = {
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
}


def run(console: Console, *, layers: int, gemm_flops: float) -> dict[str, Any]:
    """Seconds a question of both; of ours alone where lmms-eval is not there."""
    harnesses = ("diglot", "lmms") if Path(PYTHON).exists() else ("diglot",)
    with tempfile.TemporaryDirectory() as folder:
        took = _time_harnesses(Path(folder), harnesses)
    figures = {name: _summarise(by_count) for name, by_count in took.items()}
    table = Table("harness", "clock", "s a question", "s a command of few", title=f"batch {BATCH}")
    for name, by_clock in figures.items():
        for clock, figure in by_clock.items():
            table.add_row(name, clock, f"{figure['s_per_question']:.3f}", f"{figure['s_few']:.1f}")
    console.print(table)
    if "lmms" not in harnesses:
        console.print(f"no lmms-eval at {PYTHON} (make lmms)")
        return figures
    ratios = {
        clock: figures["lmms"][clock]["s_per_question"] / figure["s_per_question"]
        for clock, figure in figures["diglot"].items()
    }
    console.print("lmms-eval takes", *(f"{r:.2f} times the {c} s," for c, r in ratios.items()))
    return {**figures, "ratio": ratios, "batch": BATCH, "questions": [FEW, MANY]}


def _time_harnesses(root: Path, harnesses: Sequence[str]) -> dict[str, dict[int, list[Times]]]:
    """By harness and number of questions the seconds of every round."""
    checkpoint = _export_checkpoint(root)
    took: dict[str, dict[int, list[Times]]] = {name: {} for name in harnesses}
    for count in (FEW, MANY):  # questions are made before anything is timed
        _evaluate(checkpoint, root, count, "diglot")
    for _ in range(ROUNDS):
        for count in (FEW, MANY):
            for name, by_count in took.items():
                for kept in ("answers", "lmms"):
                    shutil.rmtree(root / str(count) / kept, ignore_errors=True)
                began = _read_clocks()
                _evaluate(checkpoint, root, count, name)
                spent = {clock: s - began[clock] for clock, s in _read_clocks().items()}
                by_count.setdefault(count, []).append(spent)
    return took


def _read_clocks() -> Times:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {"wall": time.perf_counter(), "CPU": children.ru_utime + children.ru_stime}


def _summarise(by_count: dict[int, list[Times]]) -> dict[str, Any]:
    """By clock, medians of the rounds."""
    figures = {}
    for clock in by_count[FEW][0]:
        every = {count: [times[clock] for times in rounds] for count, rounds in by_count.items()}
        few, many = (statistics.median(every[count]) for count in (FEW, MANY))
        per_question = (many - few) / (MANY - FEW)
        figures[clock] = {"s_per_question": per_question, "s_few": few, "all_s": every}
    return figures


def _export_checkpoint(root: Path) -> Path:
    torch.manual_seed(0)
    tower = CLIPVisionModel(CLIPVisionConfig(patch_size=14, image_size=224, **TOWER))
    tower.save_pretrained(root / "clip")
    config = VLMConfig(
        encoder=EncoderPart.read({"name": "clip", "path": str(root / "clip")}),
        projector=ProjectorPart.read({"name": "mlp", "activation": "gelu", "match_words": False}),
    )
    save_vlm(build_vlm(config, seed=0), config, root / "model", parts=("projector",))
    _call("export", str(root / "model"), "--to", "llava", "--out", str(root / "exported"))
    return root / "exported"


def _evaluate(checkpoint: Path, root: Path, count: int, harness: str) -> None:
    task = {"limit": count, "max_tokens": TOKENS, "ways": ["generate"]}
    options = json.dumps({"description": task})
    out = root / str(count)
    args = ["--tasks", "description", "--options", options, "--out", str(out)]
    args += ["--count", str(MANY), "--ask.batch", str(BATCH), "--pictures", "1"]
    if harness == "lmms":
        args += ["--harness", "lmms", "--lmms.python", PYTHON, "--lmms.batch_size", str(BATCH)]
    _call("evaluate", str(checkpoint), *args)


def _call(*args: str) -> None:
    made = subprocess.run([sys.executable, "-m", "diglot", *args], capture_output=True, text=True)
    if made.returncode:
        raise SystemExit(f"diglot {args[0]} failed: {made.stderr[-2000:]}")
