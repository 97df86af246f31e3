"""The machine's own limits, and how to time against them."""

import statistics
import time
from collections.abc import Callable
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
    spent: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repeats):
        for name, work in works.items():
            began = time.perf_counter()
            work()
            spent[name].append(time.perf_counter() - began)
    return {name: statistics.median(times) for name, times in spent.items()}


def gemm_flops(size: int = 1536) -> float:
    """Floating-point operations a second of a square float32 matrix product."""
    a, b = torch.randn(size, size), torch.randn(size, size)
    return 2 * size**3 / seconds(lambda: a @ b, repeats=7, warmup=2)
