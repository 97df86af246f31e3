"""The engines by name, and how many workers one has."""

from collections.abc import Callable, Iterator

import torch

from diglot.synth.config import EngineName
from diglot.synth.engines import local, ray
from diglot.synth.work import SliceJob, Work

ENGINES = {"local": local.run_slices, "ray": ray.run_slices}


def run_work(
    work: Work,
    jobs: Iterator[SliceJob],
    take: Callable[[int], None],
    *,
    engine: EngineName,
    workers: int,
) -> None:
    """Run all jobs; `take` gets the number of each as it is done, in any order.

    Raises as the engine's `run_slices` does.
    """
    ENGINES[engine](work, jobs, take, workers=workers)


def count_workers(workers: int | None) -> int:
    """How many worker processes: as configured, else one for each of several GPUs, else none."""
    if workers is not None:
        return workers
    gpus = torch.cuda.device_count()
    return gpus if gpus > 1 else 0
