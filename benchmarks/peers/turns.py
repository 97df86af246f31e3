"""Trainers as processes that take their steps in turns."""

import importlib
import multiprocessing
import os
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

import torch
from transformers.utils import logging as transformers_logging

from benchmarks.peers.gate import Gate, Step
from benchmarks.peers.stage import Stage


@dataclass
class Trainer:
    """A trainer's process, and what its steps cost."""

    name: str
    process: Any
    connection: Connection
    steps: list[Step] = field(default_factory=list)
    peak_bytes: int = 0
    first_flops: int = 0  # of its first step

    def median(self, cost: Callable[[Step], float]) -> float:
        """Over all steps but the first."""
        return statistics.median(cost(step) for step in self.steps[1:])


def start_trainer(name: str, stage: Stage) -> Trainer:
    """Start a trainer and wait until it has loaded, so that none loads beside another's steps."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_run_trainer, args=(name, stage, theirs), daemon=True)
    process.start()
    theirs.close()
    trainer = Trainer(name, process, ours)
    assert _receive(trainer) == "ready"
    return trainer


def take_turns(trainers: list[Trainer], steps: int) -> None:
    """All steps of all trainers, one after the other."""
    for _ in range(steps):
        for trainer in trainers:
            trainer.connection.send("go")
            trainer.steps.append(_receive(trainer))
    for trainer in trainers:
        trainer.peak_bytes, trainer.first_flops = _receive(trainer)
        trainer.process.join()


def _run_trainer(name: str, stage: Stage, connection: Connection) -> None:
    if stage.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    torch.set_num_threads(stage.threads)
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    importlib.import_module(f"benchmarks.peers.{name}").run(stage, Gate(connection, stage))


def _receive(trainer: Trainer) -> Any:
    try:
        return trainer.connection.recv()
    except EOFError:
        raise SystemExit(f"{trainer.name} ended before its last step") from None
