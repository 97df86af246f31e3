"""diglot beside what people would run instead: `make peers`, or `python -m benchmarks.peers`.

Every trainer is a process of its own that waits for its turn; they take their steps in turns, so
that a busy moment hits all alike. The first step does not count. What is compared are medians; CPU
time is that of all threads. Memory is the peak of the steps above libraries and weights. Losses
must agree to 1e-3 in float32, or the figures are refused.
"""

import argparse
import importlib.util
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.peers.gate import MIB
from benchmarks.peers.rows import save_rows
from benchmarks.peers.stage import TASKS, Stage, make_stage
from benchmarks.peers.turns import Trainer, start_trainer, take_turns
from diglot.train.run_folder import describe_environment

TRAINERS = ("ours", "hf_trainer", "trl_trainer", "plain_loop")
NEEDS = {"trl_trainer": "trl"}
LOSS_TOLERANCE = {"no": 1e-3, "bf16": 5e-2}


def main() -> None:
    """Run the comparison and print it."""
    args = _arguments()
    names = [n for n in args.trainers if n not in NEEDS or importlib.util.find_spec(NEEDS[n])]
    for name in set(args.trainers) - set(names):
        print(f"{name}: left out, {NEEDS[name]} is not installed (make peers installs it)")
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(
            folder=folder,
            task=args.task,
            layers=args.layers,
            vocabulary=args.vocabulary,
            steps=args.rounds + 1,
            precision=args.precision,
            threads=args.threads,
        )
        weights = make_stage(stage)
        save_rows(stage)
        trainers = [start_trainer(name, stage) for name in names]
        take_turns(trainers, stage.steps)
    apart = _check_losses(trainers, LOSS_TOLERANCE[stage.precision])
    _print_table(trainers, weights, stage, apart)
    if args.json:
        args.json.write_text(json.dumps(_figures(trainers, weights, stage, apart), indent=2) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--task", choices=TASKS, default="caption", help="stage 1 or stage 2")
    parser.add_argument("--layers", type=int, default=6, help="of the LLM; SmolLM2-135M has 30")
    parser.add_argument("--vocabulary", type=int, default=49216, help="151936 is Qwen's")
    parser.add_argument("--rounds", type=int, default=5, help="steps that count")
    parser.add_argument("--precision", choices=list(LOSS_TOLERANCE), default="no")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--trainers", nargs="+", choices=TRAINERS, default=list(TRAINERS))
    parser.add_argument("--json", type=Path, help="also write the figures here")
    return parser.parse_args()


def _check_losses(trainers: list[Trainer], tolerance: float) -> float:
    """The largest difference of two trainers' losses in a step. Ends where it is too large."""
    by_step = zip(*([step.loss for step in t.steps] for t in trainers), strict=True)
    apart = max(max(losses) - min(losses) for losses in by_step)
    if not apart <= tolerance:
        losses = {t.name: [step.loss for step in t.steps] for t in trainers}
        raise SystemExit(f"the losses differ by {apart:.4f}, more than {tolerance}: {losses}")
    return apart


def _print_table(trainers: list[Trainer], weights: int, stage: Stage, apart: float) -> None:
    title = f"{stage.task}, {stage.layers} layers, vocabulary {stage.vocabulary:,}"
    title += f", precision {stage.precision}"
    table = Table(title=f"{title}, {stage.threads} threads; losses within {apart:.0e}")
    for column in ("trainer", "wall s", "CPU s", "MiB above weights", "/ ours: wall", "CPU", "MiB"):
        table.add_column(column, justify="left" if column == "trainer" else "right")
    for figures in _figures(trainers, weights, stage, apart)["trainers"].values():
        numbers = [f"{figures[k]:.2f}" for k in ("wall_s", "cpu_s")] + [f"{figures['mib']:.0f}"]
        ratios = [f"{figures[k]:.2f}" for k in ("wall_ratio", "cpu_ratio", "mib_ratio")]
        table.add_row(figures["name"], *numbers, *ratios)
    Console().print(table)


def _figures(trainers: list[Trainer], weights: int, stage: Stage, apart: float) -> dict[str, Any]:
    costs = {
        t.name: {
            "name": t.name,
            "wall_s": t.median(lambda step: step.wall_s),
            "cpu_s": t.median(lambda step: step.cpu_s),
            "mib": (t.peak_bytes - weights) / MIB,
            "steps": [vars(step) for step in t.steps],
        }
        for t in trainers
    }
    first: Any = next(iter(costs.values()))
    for cost in costs.values():
        for key in ("wall", "cpu", "mib"):
            unit = "mib" if key == "mib" else f"{key}_s"
            cost[f"{key}_ratio"] = cost[unit] / first[unit]
    shape = {
        "task": stage.task,
        "layers": stage.layers,
        "vocabulary": stage.vocabulary,
        "threads": stage.threads,
    }
    return {
        "environment": describe_environment(),
        **shape,
        "precision": stage.precision,
        "losses_apart": apart,
        "weights_mib": weights / MIB,
        "trainers": costs,
    }


if __name__ == "__main__":
    main()
