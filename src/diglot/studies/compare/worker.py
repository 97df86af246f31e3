"""A worker process that runs jobs from a pipe one after another, and ends with its parent."""

import json
import logging
import os
import signal
import sys
import traceback
from multiprocessing.connection import Connection
from typing import Any

import torch

from diglot.core.errors import DiglotError
from diglot.core.progress import Progress, Report
from diglot.files import replace_text
from diglot.studies.compare.job import run_job
from diglot.studies.compare.jobs import FAILED, Job

LOG = "log.txt"


def serve_jobs(pipe: Connection, threads: int, gpu: int | None) -> None:
    """Do every job that comes: "progress" messages, then "done" or "failed" with the reason."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which stops us
    torch.set_num_threads(threads)
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = _visible_gpu(gpu)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("diglot").setLevel(logging.INFO)
    while True:
        try:
            job = pipe.recv()
            pipe.send(_do_job(job, pipe))
        except (EOFError, BrokenPipeError):
            return


def _visible_gpu(gpu: int) -> str:
    """The number-th of the GPUs that this machine's user may see."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    return given.split(",")[gpu] if given else str(gpu)


def _do_job(job: Job, pipe: Connection) -> tuple[str, Any]:
    """Do one job; messages go to its log."""
    job.folder.mkdir(parents=True, exist_ok=True)
    _redirect_output(job)
    try:
        run_job(job, _report_to(pipe))
        return "done", None
    except Exception as error:  # whatever ends one job, the others run
        known = isinstance(error, DiglotError)
        traceback.print_exc()
        reason = str(error) if known else f"{type(error).__name__}: {' '.join(str(error).split())}"
        note_failure(job, reason)
        return "failed", reason


def _report_to(pipe: Connection) -> Report:
    """Progress goes to the study. Where that is gone, this process is asked to stop, once.

    It is asked by a signal, so that a training lets its step end and saves its state.
    """
    alone = False

    def report(progress: Progress) -> None:
        nonlocal alone
        if alone:
            return
        try:
            pipe.send(("progress", progress))
        except OSError:
            alone = True
            signal.raise_signal(signal.SIGTERM)

    return report


def note_failure(job: Job, reason: str) -> None:
    """Keep why a job failed in its folder."""
    replace_text(job.folder / FAILED, json.dumps({"reason": reason}) + "\n")


def _redirect_output(job: Job) -> None:
    """From here on all that this process prints, libraries too, goes to the job's log."""
    with open(job.folder / LOG, "a") as log:
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
