"""Slices on this machine: in this process, or by worker processes with models of their own.

At most one slice a worker is in work, so memory does not grow with the input. A worker that is
killed (for memory, say) is replaced and its slice begun again; one that dies of the same slice
twice takes it one image at a time, so that the image it dies of is known and left out.
"""

import multiprocessing
import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from typing import Any

from diglot.core.errors import ConfigError
from diglot.synth.slices import SliceJob, SliceResult, SliceWorker, WorkSpec

# So many workers that died before they finished a slice mean that none can.
MAX_STILLBORN = 3


def run_slices(spec: WorkSpec, jobs: Iterator[SliceJob], *, workers: int) -> Iterator[SliceResult]:
    """The account of each job as it is done; with several workers in any order.

    Raises whatever a worker raises that is no fault of one image; ConfigError where workers die
    before they have done anything.
    """
    if workers == 0:
        yield from _run_here(spec, jobs)
        return
    pool = _Pool(spec, workers)
    try:
        yield from pool.run(jobs)
    finally:
        pool.stop()


def _run_here(spec: WorkSpec, jobs: Iterator[SliceJob]) -> Iterator[SliceResult]:
    worker = None
    for job in jobs:
        worker = worker or SliceWorker(spec)  # its models are loaded for work alone
        yield worker.run(job)


@dataclass
class _Seat:
    """One worker process, and the slice it is at."""

    process: Any
    connection: Connection
    job: SliceJob | None = None
    begun: int | None = None  # the item announced last


@dataclass
class _Pool:
    spec: WorkSpec
    workers: int
    seats: list[_Seat] = field(default_factory=list)
    stillborn: int = 0

    def run(self, jobs: Iterator[SliceJob]) -> Iterator[SliceResult]:
        """Keep every worker at a slice until all are done."""
        self._fill_seats(jobs)
        while any(seat.job for seat in self.seats):
            ready = wait([seat.connection for seat in self.seats if seat.job])
            for seat in [seat for seat in self.seats if seat.connection in ready]:
                result = self._receive(seat)
                if result is not None:
                    yield result
                    self._give(seat, next(jobs, None))

    def _fill_seats(self, jobs: Iterator[SliceJob]) -> None:
        for number in range(self.workers):
            job = next(jobs, None)
            if job is None:
                return
            seat = _start(self.spec, number)
            self.seats.append(seat)
            self._give(seat, job)

    def _give(self, seat: _Seat, job: SliceJob | None) -> None:
        seat.job, seat.begun = job, None
        if job is not None:
            try:
                seat.connection.send(job)
            except OSError:  # it died while it waited
                self._replace(seat)

    def _receive(self, seat: _Seat) -> SliceResult | None:
        """The worker's account; None where it announced an item, or died and was replaced."""
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
        self.stillborn = 0
        return content

    def _replace(self, seat: _Seat) -> None:
        """A new process in the seat of one that died, at the same slice."""
        self.stillborn += 1
        limit = MAX_STILLBORN + (len(seat.job.items) if seat.job and seat.job.careful else 0)
        if self.stillborn > limit * self.workers:
            raise ConfigError(
                "workers are killed before they finish a slice",
                got=f"exit code {seat.process.exitcode}",
                fix="Is there memory for so many? Try fewer --workers, or smaller batches.",
            )
        job = _after_death(seat)
        seat.connection.close()
        seat.process.join(timeout=5)
        new = _start(self.spec, self.seats.index(seat))
        seat.process, seat.connection = new.process, new.connection
        self._give(seat, job)

    def stop(self) -> None:
        """End all workers."""
        for seat in self.seats:
            seat.connection.close()
            seat.process.terminate()
        for seat in self.seats:
            seat.process.join(timeout=10)


def _after_death(seat: _Seat) -> SliceJob | None:
    """The slice as it is to be begun again: first the same, then with care, then less an item."""
    job = seat.job
    if job is None:
        return None
    if job.careful and seat.begun is not None:
        return replace(job, deadly=job.deadly | {seat.begun})
    return replace(job, careful=job.tries > 0, tries=job.tries + 1)


def _start(spec: WorkSpec, number: int) -> _Seat:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(spec, theirs, number), daemon=True)
    process.start()
    theirs.close()
    return _Seat(process, ours)


def _work(spec: WorkSpec, connection: Connection, number: int) -> None:
    """A worker's life: slices until the connection ends."""
    choose_device(number)
    try:
        worker = SliceWorker(spec)
        while True:
            job = connection.recv()
            result = worker.run(job, lambda index: connection.send(("begin", index)))
            connection.send(("done", result))
    except (EOFError, BrokenPipeError, KeyboardInterrupt):
        return
    except Exception as error:
        connection.send(("error", _picklable(error)))


def choose_device(number: int) -> None:
    """Let annotators of this process use the GPU of worker `number`, where there are any."""
    os.environ["DIGLOT_SYNTH_WORKER"] = str(number)


def _picklable(error: Exception) -> Exception:
    """Our own mistakes as they are; others with their text, since not every error can be sent."""
    if isinstance(error, ConfigError):
        return ConfigError(str(error))
    if isinstance(error, OSError) and error.errno:
        return OSError(error.errno, error.strerror, error.filename)
    return RuntimeError(f"{type(error).__name__}: {error}")
