"""One slice of a dataset's samples, labelled: what a worker of an engine makes and keeps.

Batches are those of the slice, whoever makes it, so the labels are the same to the bit.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from diglot.core.errors import DataError
from diglot.core.progress import ignore_progress
from diglot.data.records import Dataset
from diglot.data.rejected import Rejected, Rejection, rejection_of
from diglot.data.samples import use_sample
from diglot.synth.chain import run_ahead
from diglot.synth.patch_labels.config import LabellerPart
from diglot.synth.patch_labels.labeller import Labeller, PatchWords
from diglot.synth.patch_labels.parts import MadeLabels, write_part
from diglot.synth.patch_labels.usable import Usable, open_usable
from diglot.synth.step import IMAGE_ERRORS, is_fatal
from diglot.synth.work import Announce, SliceJob, announce_nothing

BATCH_IMAGES = 8
FAILED = "the labeller failed"


@dataclass(frozen=True)
class LabelWork:
    """What a worker needs to label slices of a dataset into `state`.

    `made`, a labeller that is there already, serves this process; another builds its own of `part`.
    """

    dataset: Dataset
    part: LabellerPart | None
    folder: Path
    state: Path
    made: Labeller | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "made": None}

    def build_worker(self) -> "LabelWorker":
        """A worker with a labeller; what that learns of a dataset was learned before."""
        if self.made is not None:
            return LabelWorker(self, self.made)
        assert self.part is not None
        labeller = self.part.build(
            dataset=self.dataset,
            folder=self.folder,
            rejected=Rejected(self.state / f"build-{os.getpid()}.jsonl"),
            report=ignore_progress,
        )
        return LabelWorker(self, labeller)


class LabelWorker:
    """Labels slices; holds the labeller."""

    def __init__(self, work: LabelWork, labeller: Labeller) -> None:
        self._dataset, self._state, self._labeller = work.dataset, work.state, labeller

    def open_ahead(self, job: SliceJob) -> Iterator[Usable | Rejection] | None:
        """The samples with their pictures, decoded by a thread; none where careful."""
        return None if job.careful else run_ahead(self._read(job), BATCH_IMAGES)

    def make(
        self,
        job: SliceJob,
        opened: Iterator[Usable | Rejection] | None,
        announce: Announce = announce_nothing,
    ) -> MadeLabels:
        """The labels of the slice's samples, and why some have none."""
        rows: list[PatchWords | Rejection] = []
        if opened is not None:
            while batch := list(islice(opened, BATCH_IMAGES)):
                rows += self._label(batch)
        else:
            for index, one in enumerate(self._read(job)):
                announce(index)
                rows += self._label([one])
        return MadeLabels(job.number, rows)

    def keep(self, made: MadeLabels) -> None:
        """Write the slice's part."""
        write_part(self._state, made)

    def _read(self, job: SliceJob) -> Iterator[Usable | Rejection]:
        for number, index in enumerate(job.items):
            if number in job.deadly:
                id = str(self._dataset.ids[index] or f"#{index}")
                yield Rejection(id, "its worker was killed twice", "label")
            else:
                yield use_sample(self._dataset, index, open_usable)

    def _label(self, batch: Sequence[Usable | Rejection]) -> list[PatchWords | Rejection]:
        """In the batch's order; what could not be read stays a rejection."""
        usable = [one for one in batch if not isinstance(one, Rejection)]
        made = iter(label_or_split(self._labeller, usable) if usable else [])
        return [one if isinstance(one, Rejection) else next(made) for one in batch]


def label_or_split(
    labeller: Labeller, usable: Sequence[Usable]
) -> Sequence[PatchWords | Rejection]:
    """The labels of a batch; where the labeller fails, of each image alone, so that one costs
    itself."""
    try:
        made = labeller.label([s for s, _ in usable], [p for _, p in usable])
        if len(made) != len(usable):
            raise DataError("another number of labels than images", got=len(made))
    except IMAGE_ERRORS as error:
        if is_fatal(error):
            raise
        if len(usable) == 1:
            return [_reject(usable[0][0].id, error)]
        return [row for one in usable for row in label_or_split(labeller, [one])]
    return made


def _reject(id: str, error: Exception) -> Rejection:
    if isinstance(error, DataError):
        return replace(rejection_of(id, error), where=error.where or "label")
    return Rejection(id, f"{FAILED} ({type(error).__name__})", "label", str(error)[:2000])
