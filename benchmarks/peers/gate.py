"""Lets trainers step in turns: each in a process of its own, one optimizer step at a time."""

import os
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.machine import await_device
from benchmarks.peers.stage import Stage

MIB = 1 << 20


@dataclass(frozen=True)
class Step:
    """What one optimizer step cost, from the reading of its data to the update."""

    loss: float
    wall_s: float
    cpu_s: float  # of all threads


@dataclass
class Gate:
    """A trainer's side: it stops here before its first step and after each one.

    Of the first step, which counts for no time, operations are counted.
    """

    connection: Connection
    stage: Stage
    began: tuple[float, float] = field(default=(0.0, 0.0), init=False)
    base_bytes: int = field(default=0, init=False)
    done: int = field(default=0, init=False)
    counter: Any = field(default=None, init=False)

    def before_model(self) -> None:
        """The libraries are loaded, the model is not."""
        self.base_bytes = _resident_bytes("VmRSS") if self.stage.device == "cpu" else 0

    def before_steps(self) -> None:
        """The model is loaded: forget the peak of loading, and wait for the first turn."""
        if self.stage.device == "cpu":
            Path("/proc/self/clear_refs").write_text("5")
        else:
            torch.cuda.reset_peak_memory_stats()
        self._wait("ready")
        self.counter = FlopCounterMode(display=False)
        if self.stage.counts:
            self.counter.__enter__()

    def after_step(self, loss: float) -> None:
        """Say what the step cost and wait for the next turn; after the last one, the memory."""
        await_device()
        wall, cpu = self.began
        spent = Step(loss, time.perf_counter() - wall, time.process_time() - cpu)
        self.done += 1
        if self.done == 1 and self.stage.counts:
            self.counter.__exit__(None, None, None)
        if self.done < self.stage.steps:
            return self._wait(spent)
        self.connection.send(spent)
        self.connection.send((self._peak_bytes() - self.base_bytes, self.counter.get_total_flops()))

    def _peak_bytes(self) -> int:
        on_cpu = self.stage.device == "cpu"
        return _resident_bytes("VmHWM") if on_cpu else torch.cuda.max_memory_allocated()

    def _wait(self, message: object) -> None:
        self.connection.send(message)
        self.connection.recv()
        self.began = time.perf_counter(), time.process_time()


def _resident_bytes(name: str) -> int:
    """Of this process: VmRSS, what is in memory now, or VmHWM, the most that was."""
    lines = Path(f"/proc/{os.getpid()}/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(name))
