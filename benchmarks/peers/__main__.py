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
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

from rich.console import Console
from rich.table import Table

from benchmarks.machine import Setting, check_device, gemm_flops
from benchmarks.peers.gate import MIB
from benchmarks.peers.rows import save_rows
from benchmarks.peers.stage import TASKS, Stage, make_stage
from benchmarks.peers.turns import Trainer, start_trainer, take_turns
from diglot.models.config import Attention
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
    limit = gemm_flops(Setting(args.device, args.precision))
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(
            folder=folder,
            task=args.task,
            layers=args.layers,
            vocabulary=args.vocabulary,
            steps=args.rounds + 1,
            precision=args.precision,
            threads=args.threads,
            device=args.device,
            attention=args.attention,
            width=args.width,
            samples=args.samples,
        )
        weights = make_stage(stage)
        save_rows(stage)
        trainers = [start_trainer(name, stage) for name in names]
        take_turns(trainers, stage.steps)
    apart = _check_losses(trainers, LOSS_TOLERANCE[stage.precision])
    figures = _figures(trainers, weights, stage, apart, limit)
    _print_table(figures, stage)
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--task", choices=TASKS, default="caption", help="stage 1 or stage 2")
    parser.add_argument("--layers", type=int, default=6, help="of the LLM; SmolLM2-135M has 30")
    parser.add_argument("--vocabulary", type=int, default=49216, help="151936 is Qwen's")
    parser.add_argument("--rounds", type=int, default=5, help="steps that count")
    parser.add_argument("--precision", choices=list(LOSS_TOLERANCE), default="no")
    parser.add_argument("--device", type=check_device, default="cpu", help="cpu or cuda")
    parser.add_argument("--attention", choices=get_args(Attention), default="split", help="of ours")
    parser.add_argument("--width", type=int, help="of the LLM, 4096 as 7B models are; SmolLM2: 576")
    parser.add_argument("--samples", type=int, help="of a step; 4, or 8 conversations")
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


def _print_table(made: dict[str, Any], stage: Stage) -> None:
    title = f"{stage.task}, {stage.layers} layers, width {stage.width or 576}, vocabulary "
    title += f"{stage.vocabulary:,}, {stage.batch} samples, {stage.device}, precision "
    title += f"{stage.precision}, {stage.threads} threads; losses within {made['losses_apart']:.0e}"
    table = Table(title=title, padding=0)
    columns = ("trainer", "wall s", "CPU s", "MiB above weights", "/ ours: wall", "CPU", "MiB")
    for column in (*columns, "TFLOP", "of GEMM rate"):
        table.add_column(column, justify="left" if column == "trainer" else "right")
    for figures in made["trainers"].values():
        numbers = [f"{figures[k]:.3f}" for k in ("wall_s", "cpu_s")] + [f"{figures['mib']:.0f}"]
        ratios = [f"{figures[k]:.2f}" for k in ("wall_ratio", "cpu_ratio", "mib_ratio")]
        shares = [f"{figures['first_tflop']:.2f}", f"{figures['gemm_share']:.0%}"]
        table.add_row(figures["name"], *numbers, *ratios, *shares)
    Console().print(table)


def _figures(
    trainers: list[Trainer], weights: int, stage: Stage, apart: float, limit: float
) -> dict[str, Any]:
    costs = {t.name: _cost(t, weights, limit) for t in trainers}
    first: Any = next(iter(costs.values()))
    for cost in costs.values():
        for key in ("wall", "cpu", "mib"):
            unit = "mib" if key == "mib" else f"{key}_s"
            cost[f"{key}_ratio"] = cost[unit] / first[unit]
    shape = {k: v for k, v in asdict(stage).items() if k != "folder"}
    return {
        "environment": describe_environment(),
        **shape,
        "samples": stage.batch,
        "losses_apart": apart,
        "weights_mib": weights / MIB,
        "gemm_flops": limit,
        "trainers": costs,
    }


def _cost(trainer: Trainer, weights: int, limit: float) -> dict[str, Any]:
    """Medians, and the operations of the first step over what the machine does in a median one.

    Steps differ in length by a few percent, so the share does too.
    """
    wall_s = trainer.median(lambda step: step.wall_s)
    return {
        "name": trainer.name,
        "wall_s": wall_s,
        "cpu_s": trainer.median(lambda step: step.cpu_s),
        "mib": (trainer.peak_bytes - weights) / MIB,
        "first_tflop": trainer.first_flops / 1e12,
        "gemm_share": trainer.first_flops / wall_s / limit,
        "steps": [vars(step) for step in trainer.steps],
    }


if __name__ == "__main__":
    main()
