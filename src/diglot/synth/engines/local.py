"""Slices on this machine: in this process, or by worker processes with models of their own.

A slice is written while the next one is worked at and the first pictures of a third are decoded, so
models need not wait for the disk; memory does not grow with the input. A worker that is killed (for
memory, say) is replaced and its slice begun again; one that dies of the same slice twice takes it
one image at a time, so that an image it dies of twice is known and left out.
"""

import gc
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any

import torch

from diglot.core.errors import ConfigError
from diglot.synth.chain import run_ahead
from diglot.synth.device import note_worker
from diglot.synth.engines.garbage import freeze_loaded
from diglot.synth.step import is_device_error
from diglot.synth.work import Announce, SliceJob, Work, Worker, announce_nothing

# So many workers that died before they finished a slice mean that none can.
MAX_STILLBORN = 3
SLICES_EACH = 2  # that a worker has: one that it works at, and the next


def run_slices(
    work: Work, jobs: Iterator[SliceJob], take: Callable[[int], None], *, workers: int
) -> None:
    """Run all jobs; `take` gets the number of each as it is done, of several workers in any order.

    Raises whatever a worker raises that is no fault of one image; ConfigError where workers die
    before they have done anything.
    """
    if workers == 0:
        _run_here(work, jobs, take)
        return
    pool = _Pool(work, workers)
    try:
        pool.run(jobs, take)
    finally:
        pool.stop()


def _run_here(work: Work, jobs: Iterator[SliceJob], take: Callable[[int], None]) -> None:
    first = next(jobs, None)
    if first is None:  # models are loaded for work alone
        return
    try:
        _run_overlapped(work.build_worker(), _with_first(first, jobs), take)
    except Exception as error:
        if is_device_error(error):
            raise ConfigError(
                "the device failed, and is of no more use to this process",
                got=" ".join(str(error).split())[:300],
                fix="Give the same command with --workers 1: it resumes, and leaves out the image "
                "that the device fails on.",
            ) from error
        raise


def _with_first(first: SliceJob, others: Iterator[SliceJob]) -> Iterator[SliceJob]:
    yield first
    yield from others


def _run_overlapped(
    worker: Worker,
    jobs: Iterator[SliceJob],
    take: Callable[[int], None],
    announce: Announce = announce_nothing,
) -> None:
    """Make one slice after the other; meanwhile one is opened, and one written and taken."""

    def write(number: int, made: Any) -> None:
        worker.keep(made)
        take(number)

    with freeze_loaded(), ThreadPoolExecutor(1) as pool:
        writing: Future[None] | None = None
        opened = ((job, worker.open_ahead(job)) for job in jobs)
        for job, pictures in run_ahead(opened, 1, groups=1, waits=False):
            made = worker.make(job, pictures, announce)
            if writing is not None:
                writing.result()
            writing = pool.submit(write, job.number, made)
            if job.careful:  # else what kills this worker next could be blamed on it
                writing.result()
        if writing is not None:
            writing.result()


@dataclass
class _Seat:
    """One worker process, and its slices: the one it is at (or is writing), and the next."""

    process: Any
    connection: Connection
    jobs: list[SliceJob] = field(default_factory=list)
    begun: int | None = None  # the item announced last


@dataclass
class _Pool:
    work: Work
    workers: int
    seats: list[_Seat] = field(default_factory=list)
    stillborn: int = 0

    def run(self, jobs: Iterator[SliceJob], take: Callable[[int], None]) -> None:
        """Keep every worker at a slice until all are done."""
        self._fill_seats(jobs)
        while any(seat.jobs for seat in self.seats):
            ready = wait([seat.connection for seat in self.seats if seat.jobs])
            for seat in [seat for seat in self.seats if seat.connection in ready]:
                number = self._receive(seat)
                if number is not None:
                    self._give(seat, next(jobs, None))  # first: it works while this is committed
                    take(number)

    def _fill_seats(self, jobs: Iterator[SliceJob]) -> None:
        for number in range(self.workers * SLICES_EACH):
            job = next(jobs, None)
            if job is None:
                return
            if number < self.workers and number == len(self.seats):
                self.seats.append(_start_worker(self.work, number))
            self._give(self.seats[number % self.workers], job)

    def _give(self, seat: _Seat, job: SliceJob | None) -> None:
        if job is not None:
            seat.jobs.append(job)
            try:
                seat.connection.send(job)
            except OSError:  # it died while it waited
                self._replace(seat)

    def _receive(self, seat: _Seat) -> int | None:
        """The slice that is done; None where the worker announced an item, or died."""
        try:
            kind, content = seat.connection.recv()
        except (EOFError, OSError):
            self._replace(seat)
            return None
        if kind == "error":
            raise content
        if kind == "begin":
            seat.begun = content
            return None
        self.stillborn, seat.begun = 0, None
        seat.jobs = [job for job in seat.jobs if job.number != content]
        return content

    def _replace(self, seat: _Seat) -> None:
        """A new process in the seat of one that died, at the same slices."""
        self.stillborn += 1
        first = seat.jobs[0]
        limit = MAX_STILLBORN + (2 * len(first.items) if first.careful else 0)
        if self.stillborn > limit * self.workers:
            raise ConfigError(
                "workers are killed before they finish a slice",
                got=f"exit code {seat.process.exitcode}",
                fix="Is there memory for so many? Try fewer --workers, or smaller batches.",
            )
        jobs = [_after_death(seat), *seat.jobs[1:]]
        seat.connection.close()
        seat.process.join(timeout=5)
        new = _start_worker(self.work, self.seats.index(seat))
        seat.process, seat.connection = new.process, new.connection
        seat.jobs, seat.begun = [], None
        for job in jobs:
            self._give(seat, job)

    def stop(self) -> None:
        """End all workers."""
        for seat in self.seats:
            seat.connection.close()
            seat.process.terminate()
        for seat in self.seats:
            seat.process.join(timeout=10)


class GuardedWorker:
    """A worker process for an engine that has processes of its own: it is replaced when killed."""

    def __init__(self, work: Work) -> None:
        self._work, self._pool = work, _Pool(work, 1)

    def run(self, job: SliceJob) -> None:
        """Make a slice and keep it, less the images that workers die of. Raises as `run_slices`."""
        try:
            self._pool.run(iter([job]), lambda number: None)
        except BaseException:
            self._pool.stop()
            self._pool = _Pool(self._work, 1)
            raise


def _after_death(seat: _Seat) -> SliceJob:
    """The slice as it is to be begun again: first the same, then with care, then less an item."""
    job, item = seat.jobs[0], seat.begun
    if not job.careful or item is None:
        return replace(job, careful=job.tries > 0, tries=job.tries + 1)
    if item in job.suspects:
        return replace(job, deadly=job.deadly | {item})
    return replace(job, suspects=job.suspects | {item})


def _start_worker(work: Work, number: int) -> _Seat:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(
        target=_work_slices, args=(work, theirs, number, torch.get_num_threads()), daemon=True
    )
    process.start()
    theirs.close()
    return _Seat(process, ours)


def _work_slices(work: Work, connection: Connection, number: int, threads: int) -> None:
    """A worker's life: slices until the connection ends."""
    note_worker(number)
    torch.set_num_threads(threads)  # sums are rounded by their parts, one for each thread
    alone = Lock()  # the thread that writes slices sends too

    def send(kind: str, content: Any) -> None:
        with alone:
            connection.send((kind, content))

    try:
        worker = work.build_worker()
        gc.collect()  # what building leaves would stay as long as the process
        _run_overlapped(
            worker,
            _receive_jobs(connection),
            lambda number: send("done", number),
            lambda index: send("begin", index),
        )
    except (EOFError, BrokenPipeError, KeyboardInterrupt):
        return
    except Exception as error:
        if is_device_error(error):  # as if killed: another process begins the slice again
            os._exit(1)
        send("error", picklable_error(error))


def _receive_jobs(connection: Connection) -> Iterator[SliceJob]:
    """The jobs as they come, read in a thread so that who sends them never waits."""
    received: SimpleQueue[SliceJob] = SimpleQueue()

    def read() -> None:
        try:
            while True:
                received.put(connection.recv())
        except (EOFError, OSError):  # who sent them is gone: no orphan holds memory or a GPU
            os._exit(0)

    Thread(target=read, daemon=True).start()
    while True:
        yield received.get()


def picklable_error(error: Exception) -> Exception:
    """Our own mistakes as they are; others with their text, since not every error can be sent."""
    if isinstance(error, ConfigError):
        return ConfigError(str(error))
    if isinstance(error, OSError) and error.errno:
        return OSError(error.errno, error.strerror, error.filename)
    return RuntimeError(f"{type(error).__name__}: {error}")
