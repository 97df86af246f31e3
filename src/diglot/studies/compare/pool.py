"""Jobs side by side: worker processes, each with its share of the machine."""

import multiprocessing
import os
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

import torch

from diglot.core.progress import Report
from diglot.studies.compare.jobs import Job
from diglot.studies.compare.worker import LOG, note_failure, serve_jobs

CORES_A_JOB = 4


@dataclass
class _Worker:
    """One process, the pipe to it, and what it is at."""

    slot: int
    process: SpawnProcess
    pipe: Connection
    job: Job | None = None


def count_workers(jobs: int | None) -> int:
    """The jobs to run side by side, where the user leaves it to the machine."""
    if jobs is not None:
        return jobs
    return torch.cuda.device_count() or max(1, (os.cpu_count() or 1) // CORES_A_JOB)


def run_jobs(
    jobs: Sequence[Job], side_by_side: int, report: Report
) -> Generator[tuple[Job, str | None]]:
    """Do all jobs; yields each as it ends, with the reason where it failed.

    Progress comes with the job's slot for a stage, its name and own stage in the note.

    Workers are stopped where the caller stops. A worker that dies takes its job along, no more.
    """
    waiting = list(reversed(jobs))
    slots = min(side_by_side, len(waiting))
    with _keep_workers() as workers:
        for slot in range(slots):
            workers.append(_start_worker(slot, slots))
            _give_job(workers[-1], waiting)
        while busy := {w.pipe: w for w in workers if w.job}:
            for pipe in wait(list(busy)):
                worker = busy[pipe]  # type: ignore[index]
                job, ended = worker.job, _receive_message(worker, report)
                if ended is None or job is None:
                    continue
                if not worker.process.is_alive() and waiting:
                    workers.remove(worker)
                    worker = _start_worker(worker.slot, slots)
                    workers.append(worker)
                _give_job(worker, waiting)
                yield job, ended[0]


def _receive_message(worker: _Worker, report: Report) -> tuple[str | None] | None:
    """Take one message; (reason or None,) where it ends the job."""
    job = worker.job
    assert job is not None
    try:
        kind, content = worker.pipe.recv()
    except (EOFError, ConnectionError):
        worker.process.join()
        reason = f"its process died (exit code {worker.process.exitcode}); see {job.folder / LOG}"
        note_failure(job, reason)
        return (reason,)
    if kind == "progress":
        note = f"{job.name}: {content.stage} {content.note}"
        report(replace(content, stage=f"job {worker.slot + 1}", note=note))
        return None
    return (content,)


def _give_job(worker: _Worker, waiting: list[Job]) -> None:
    worker.job = waiting.pop() if waiting else None
    if worker.job:
        worker.pipe.send(worker.job)


def _start_worker(slot: int, slots: int) -> _Worker:
    """A fresh process with its share of threads and one of the GPUs; no fork, as it may use one."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    gpus = torch.cuda.device_count()
    threads = max(1, torch.get_num_threads() // slots)
    process = context.Process(
        target=serve_jobs, args=(theirs, threads, slot % gpus if gpus else None)
    )
    process.start()
    theirs.close()  # so that its death closes the pipe
    return _Worker(slot, process, ours)


@contextmanager
def _keep_workers() -> Iterator[list[_Worker]]:
    """A list of workers, all of them stopped at the end."""
    workers: list[_Worker] = []
    try:
        yield workers
    finally:
        for worker in workers:
            worker.process.terminate()
        for worker in workers:
            _await_end(worker)


def _await_end(worker: _Worker) -> None:
    """Wait until the process has saved its state; what it still sends must not hold it up."""
    while worker.process.is_alive():
        with suppress(EOFError, OSError):
            if worker.pipe.poll(0.05):
                worker.pipe.recv()
        worker.process.join(0.05)
    worker.pipe.close()
