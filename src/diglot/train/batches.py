"""From the order of samples to the micro-batches of every step, bad records rejected."""

import contextlib
import multiprocessing
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence

import torch
from accelerate import Accelerator
from torch.multiprocessing import reductions

from diglot.core.batch import Batch
from diglot.core.errors import DataError, DiglotError
from diglot.core.rng import seeded_generator
from diglot.data.collate import EncodedSample, collate_batch
from diglot.data.rejected import Rejected, Rejection
from diglot.train.config import StageConfig
from diglot.train.lanes import Lane
from diglot.train.order import Order
from diglot.train.samples import PreparedSamples

# A run looks for a usable record among its first ones, and stops at once if there is none.
CHECKED_RECORDS = 1000


class WorkerError(DiglotError):
    """A data-loader worker ended before its work. The same command resumes the run."""


@contextlib.contextmanager
def explain_dead_workers() -> Iterator[None]:
    """Raise WorkerError in place of torch's RuntimeError, which a signal handler raises anywhere.

    Around all else, then: it may come up while trackers are closed, too. A worker that dies with
    a batch under way ends in an error of its connection instead, and torch's may come up while
    that one is looked into.
    """
    try:
        try:
            yield
        except (RuntimeError, ConnectionError, EOFError) as error:
            if not _raised_by_transfer(error):
                raise
            raise _worker_error(error) from error
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise _worker_error(error) from error


def _worker_error(error: BaseException) -> WorkerError:
    return WorkerError(
        "a data-loader worker was killed",
        got=(str(error) or type(error).__name__).splitlines()[0],
        where="workers",
        fix="Most often the machine had no memory left: use fewer workers. "
        "The same command resumes the run from its last saved state.",
    )


def _raised_by_transfer(error: BaseException) -> bool:
    """Whether it came up where torch takes over a tensor of another process."""
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    return any(frame.f_globals.get("__name__") == reductions.__name__ for frame in frames)


class Batches:
    """One process's micro-batches. `notes` counts what the objective left out of samples."""

    def __init__(
        self,
        samples: PreparedSamples,
        order: Order,
        config: StageConfig,
        accelerator: Accelerator,
        rejected: Rejected,
    ) -> None:
        self.samples, self.order, self.config = samples, order, config
        self.accelerator, self.rejected = accelerator, rejected
        self.notes: Counter[str] = Counter()

    def first_usable(self) -> Batch:
        """The first record that can be used, alone; every objective tries one of every dataset.

        Raises DataError where of a dataset none can.
        """
        usable: list[EncodedSample] = []
        for number in range(len(self.samples.data.sources)):
            lanes = [lane for lane in self.order.lanes if lane.source == number]
            reasons: dict[int, str] = {}  # by record
            found = [item for lane in lanes if (item := self._first_of(lane, reasons))]
            if not found:
                raise self._none_usable(number, reasons)
            usable += found
        return collate_batch(usable[:1], row_tokens=self.config.row_tokens)

    def _first_of(self, lane: Lane, reasons: dict[int, str]) -> EncodedSample | None:
        """A lane's first usable record; notes why those before it are none."""
        for key in self.order.first_of(lane, CHECKED_RECORDS):
            item = self.samples[key]
            if isinstance(item, EncodedSample):
                return item
            reasons[key[2]] = item.reason
            if self.accelerator.is_main_process:
                self.rejected.note(item)
        return None

    def _none_usable(self, number: int, reasons: dict[int, str]) -> DataError:
        source = self.samples.data.sources[number]
        commonest = Counter(reasons.values()).most_common(1)[0][0]
        return DataError(
            f"none of the first {len(reasons)} records can be used; "
            f"the commonest reason: {commonest}",
            where=source.name or str(source.dataset.folder),
            fix=f"All are listed in {self.rejected.path}.",
        )

    def from_step(self, start: int) -> Iterator[list[Batch | None]]:
        """The micro-batches of every step from `start` on; None where no record was usable."""
        process, processes = self.accelerator.process_index, self.accelerator.num_processes
        plans = [
            self.order.micro_batches(step, self.config.micro_batch, process, processes)
            for step in range(start, self.order.steps)
        ]
        loader = torch.utils.data.DataLoader(
            self.samples,
            batch_sampler=[keys for plan in plans for keys in plan],  # type: ignore[arg-type]
            collate_fn=list,
            num_workers=self.config.workers,
            multiprocessing_context=_worker_start(self.config),
            # its own generator: the global one, which resuming restores, is not drawn from
            generator=seeded_generator(self.config.seed, "loader"),
        )
        loaded = iter(loader)
        for plan in plans:
            yield [self._collate(next(loaded)) for _ in plan]

    def _collate(self, prepared: list[EncodedSample | Rejection]) -> Batch | None:
        """Pack what is usable; note what is not, and what the objective left out."""
        usable = [p for p in prepared if isinstance(p, EncodedSample)]
        for item in prepared:
            if isinstance(item, Rejection):
                self.rejected.note(item)
            else:
                self.notes.update(item.notes)
        return collate_batch(usable, row_tokens=self.config.row_tokens) if usable else None


def _worker_start(config: StageConfig) -> str | None:
    if not config.workers:
        return None
    known = multiprocessing.get_all_start_methods()
    return config.worker_start or ("fork" if "fork" in known else "spawn")


def count_tokens(batches: Sequence[Batch | None]) -> int:
    """Positions of a step's documents, text and visual tokens of trunk and branches, no padding."""
    return sum(int((b.packed.document_BT >= 0).sum()) for b in batches if b)
