"""The machine's own limits, and how to time against them."""

import contextlib
import ctypes
import resource
import statistics
import time
from argparse import ArgumentTypeError
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch


@dataclass(frozen=True)
class Setting:
    """Where a benchmark computes, in what, and on which language model."""

    device: str = "cpu"
    precision: str = "no"  # or bf16, by autocast
    attention: Any = "split"
    width: int | None = None  # of a language model of random weights in SmolLM2's place

    @property
    def dtype(self) -> torch.dtype:
        """What matrix products are computed in."""
        return torch.bfloat16 if self.precision == "bf16" else torch.float32

    def autocast(self) -> Any:
        """The context of a forward pass."""
        return torch.autocast(self.device, self.dtype, enabled=self.precision == "bf16")


ON_CPU = Setting()


def check_device(device: str) -> str:
    """The device's name. Raises ArgumentTypeError where it is not here."""
    if device != "cpu" and not torch.cuda.is_available():
        raise ArgumentTypeError(f"no GPU that torch {torch.__version__} can use is here; give cpu")
    return device


def await_device() -> None:
    """Wait until a GPU has done what it was given; without one, at once."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


def seconds(work: Callable[[], Any], *, repeats: int = 3, warmup: int = 1) -> float:
    """Median seconds of a call, after warm-up."""
    for _ in range(warmup):
        work()
    spent = []
    for _ in range(repeats):
        await_device()
        began = time.perf_counter()
        work()
        await_device()
        spent.append(time.perf_counter() - began)
    return statistics.median(spent)


def interleaved(works: dict[str, Callable[[], Any]], *, repeats: int = 3) -> dict[str, float]:
    """Median seconds of several calls, taken in turns so that a busy moment hits all alike."""
    for work in works.values():
        work()
    took = interleaved_clocks(works, repeats=repeats)
    return {name: clocks["clock_s"] for name, clocks in took.items()}


def interleaved_clocks(
    works: dict[str, Callable[[], Any]], *, repeats: int
) -> dict[str, dict[str, float]]:
    """Median CPU seconds (of all threads) and clock seconds of each, in turns, without warm-up."""
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
    for _ in range(repeats):
        for name, work in works.items():
            await_device()
            began = time.process_time(), time.perf_counter()
            work()
            await_device()
            ended = time.process_time(), time.perf_counter()
            spent[name].append((ended[0] - began[0], ended[1] - began[1]))
    return {
        name: {
            "cpu_s": statistics.median(cpu for cpu, _ in times),
            "clock_s": statistics.median(clock for _, clock in times),
        }
        for name, times in spent.items()
    }


def gemm_flops(setting: Setting = ON_CPU) -> float:
    """Floating-point operations a second of a square matrix product in the setting's precision."""
    size = 1536 if setting.device == "cpu" else 8192
    a, b = torch.randn(2, size, size, device=setting.device, dtype=setting.dtype)
    return 2 * size**3 / seconds(lambda: a @ b, repeats=7, warmup=2)


def resident_mib() -> float:
    """What the process holds, once the allocator has given back what it keeps for later."""
    with contextlib.suppress(OSError, AttributeError):  # glibc alone has it
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20
