"""Slices by Ray Data: a pool of actors, each with models of its own, on a machine or a cluster.

The slices are those of the local engine, so the output is the same bit for bit. An actor has one
worker process of that engine, so an image that kills it is found and left out here too. On a
cluster the output folder must be one that all machines share.
"""

import os
import pickle
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import torch

from diglot.core.errors import ConfigError
from diglot.synth.engines import local
from diglot.synth.work import SliceJob, Work

# Slices that Ray knows of at a time; the list of a million images is never held at once.
ROUND_SLICES = 4096
RESTARTS = 3  # of an actor that was killed; its slice is begun again


def run_slices(
    work: Work, jobs: Iterator[SliceJob], take: Callable[[int], None], *, workers: int
) -> None:
    """Run all jobs; `take` gets the number of each as it is done, in any order.

    Raises ConfigError where Ray is not installed, and what an actor raises.
    """
    ray, data = _import_ray()
    data.DataContext.get_current().enable_progress_bars = False
    while batch := list(islice(jobs, ROUND_SLICES)):
        _start_ray(ray)
        # of the cluster: the machine that this process is on may have none
        gpus_each = 1 if ray.cluster_resources().get("GPU") else 0
        for number in _run_round(data, work, batch, max(workers, 1), gpus_each):
            take(number)


def _start_ray(ray: Any) -> None:
    """Join the cluster or start one here, unless that is done."""
    if ray.is_initialized():
        return
    # a worker finds diglot and a user's own parts as this process does
    paths = os.pathsep.join(filter(None, [os.getcwd(), os.environ.get("PYTHONPATH", "")]))
    environment = {"env_vars": {"PYTHONPATH": paths}}
    ray.init(log_to_driver=False, include_dashboard=False, runtime_env=environment)


def _run_round(
    data: Any, work: Work, jobs: list[SliceJob], workers: int, gpus_each: int
) -> Iterator[int]:
    pool = min(workers, len(jobs))
    made = data.from_items([{"job": job} for job in jobs], override_num_blocks=len(jobs)).map(
        _Actor,
        fn_constructor_args=(work, torch.get_num_threads()),
        compute=data.ActorPoolStrategy(size=pool),
        num_gpus=gpus_each,
        max_restarts=RESTARTS,
        max_task_retries=RESTARTS,
    )
    for row in made.iter_rows():
        error = pickle.loads(row["error"])
        if error is not None:
            raise error
        yield row["number"]


class _Actor:
    """One worker of the pool."""

    def __init__(self, work: Work, threads: int) -> None:
        # Ray gives an actor one thread; sums are rounded by their parts, one for each thread
        torch.set_num_threads(threads)
        self._worker = local.GuardedWorker(work)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Run one slice; what came of it is in the folder, its number comes back, or an error."""
        job, error = row["job"], None
        try:
            self._worker.run(job)
        except Exception as raised:  # Ray would wrap it, and a user could not read it
            error = local.picklable_error(raised)
        return {"number": job.number, "error": pickle.dumps(error)}


def _import_ray() -> tuple[Any, Any]:
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ConfigError(
            "Ray is needed for engine ray", fix='Install it: pip install "diglot[synth]".'
        ) from error
    return ray, ray.data
