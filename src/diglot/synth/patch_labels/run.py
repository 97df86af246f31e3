"""Labelling a dataset by an engine, slice by slice; a run that was killed resumes.

Finished slices are parts in a hidden folder beside the labels, until they are in whole shards; then
they are deleted. A bad image is rejected, and costs itself alone.
"""

import contextlib
import gc
import shutil
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from threading import Lock

import torch

from diglot.core.errors import ConfigError
from diglot.core.progress import Progress, Report
from diglot.data.labels import LabelWriter
from diglot.data.records import Dataset
from diglot.data.rejected import Rejected, Rejection
from diglot.synth.config import EngineName
from diglot.synth.engines.choose import run_work
from diglot.synth.patch_labels.config import LabellerPart
from diglot.synth.patch_labels.labeller import Labeller, PatchWords
from diglot.synth.patch_labels.parts import part_path, read_part
from diglot.synth.patch_labels.slices import FAILED, LabelWork
from diglot.synth.work import SliceJob

SLICE_IMAGES = 64
STATE = ".label"


def label_dataset(
    dataset: Dataset,
    labeller: Labeller,
    folder: Path,
    rejected: Rejected,
    report: Report,
    *,
    part: LabellerPart | None = None,
    engine: EngineName = "local",
    workers: int = 0,
) -> None:
    """Write the labels of every sample into `folder`. Progress counts images.

    Args:
        dataset: What is labelled.
        labeller: What labels, built; it says what the labels depend on.
        folder: Where they go; the same call again resumes.
        rejected: Takes images that cannot be labelled.
        report: Takes the progress.
        part: What other processes build the labeller of; they need it.
        engine: local or ray.
        workers: Processes, each with a labeller of its own; 0 = in this one.
    """
    settings = {"preprocess": labeller.preprocess, "patch_px": labeller.patch_px}
    writer = LabelWriter(folder, dataset, words=labeller.words, about=labeller.about, **settings)
    with writer:
        kept = folder / STATE / dataset.split
        state = kept / f"{writer.key}-{SLICE_IMAGES}"
        here = engine == "local" and workers == 0
        work = LabelWork(dataset, part, folder, state, made=labeller if here else None)
        if not here:
            del labeller
            _free_memory()  # of a model that the workers have too
        committer = LabelCommitter(writer, state, rejected, report)
        jobs = list_jobs(committer)
        run_work(work, jobs, committer.take_done, engine=engine, workers=workers)
    shutil.rmtree(kept, ignore_errors=True)
    with contextlib.suppress(OSError):  # another split is being labelled
        (folder / STATE).rmdir()


def _free_memory() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


class LabelCommitter:
    """Moves finished slices into the writer, in the dataset's order, whichever was done first."""

    def __init__(
        self, writer: LabelWriter, state: Path, rejected: Rejected, report: Report
    ) -> None:
        self.writer, self.state = writer, state
        self.total = len(writer.dataset)
        self.next = writer.done // SLICE_IMAGES  # those before are in whole shards
        self._waiting: set[int] = set()
        self._kept: list[int] = []  # slices whose parts are still there
        self._rejected, self._report = rejected, report
        self._alone = Lock()  # slices that a former run left come from the list of jobs
        self._report(Progress("images", writer.done, self.total))

    def take_done(self, number: int) -> None:
        """Note that a slice is done; commit it, and those that waited for it."""
        with self._alone:
            self._waiting.add(number)
            while self.next in self._waiting:
                self._waiting.remove(self.next)
                self._commit(self.next)
                self.next += 1

    def _commit(self, number: int) -> None:
        there = self.writer.done - number * SLICE_IMAGES  # of a former run, in a whole shard
        rows = read_part(self.state, number).rows
        self._check_labeller(rows, number)
        for row in islice(rows, max(0, there), None):
            if isinstance(row, Rejection):
                self._rejected.note(row)
                row = PatchWords([], [])
            self.writer.add(row.words, row.scores)
        self._kept.append(number)
        while self._kept and (self._kept[0] + 1) * SLICE_IMAGES <= self.writer.whole:
            part_path(self.state, self._kept.pop(0)).unlink(missing_ok=True)
        self._report(Progress("images", self.writer.done, self.total))

    def _check_labeller(self, rows: list[PatchWords | Rejection], number: int) -> None:
        """Raises ConfigError where the labeller failed on all of the first images: not theirs is
        the fault."""
        failed = [r for r in rows if isinstance(r, Rejection) and r.reason.startswith(FAILED)]
        if self.writer.done or len(failed) < len(rows):
            return
        part_path(self.state, number).unlink()  # to be made again
        raise ConfigError(
            f"{failed[0].reason} on each of the first {len(failed)} images",
            got=failed[0].detail,
            where="labeller",
        )


def list_jobs(committer: LabelCommitter) -> Iterator[SliceJob]:
    """The slices that are to be made; those that a former run left go to the committer."""
    total = committer.total
    for number in range(committer.next, -(-total // SLICE_IMAGES)):
        if part_path(committer.state, number).is_file():
            committer.take_done(number)
        else:
            start = number * SLICE_IMAGES
            yield SliceJob(number, tuple(range(start, min(start + SLICE_IMAGES, total))))
