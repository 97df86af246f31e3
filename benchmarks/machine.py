"""The machine's own limits, and how to time against them."""

import contextlib
import ctypes
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch


def seconds(work: Callable[[], Any], *, repeats: int = 3, warmup: int = 1) -> float:
    """Median seconds of a call, after warm-up."""
    for _ in range(warmup):
        work()
    spent = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
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
            began = time.process_time(), time.perf_counter()
            work()
            ended = time.process_time(), time.perf_counter()
            spent[name].append((ended[0] - began[0], ended[1] - began[1]))
    return {
        name: {
            "cpu_s": statistics.median(cpu for cpu, _ in times),
            "clock_s": statistics.median(clock for _, clock in times),
        }
        for name, times in spent.items()
    }


def gemm_flops(size: int = 1536) -> float:
    """Floating-point operations a second of a square float32 matrix product."""
    a, b = torch.randn(size, size), torch.randn(size, size)
    return 2 * size**3 / seconds(lambda: a @ b, repeats=7, warmup=2)


def resident_mib() -> float:
    """What the process holds, once the allocator has given back what it keeps for later."""
    with contextlib.suppress(OSError, AttributeError):  # glibc alone has it
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20
