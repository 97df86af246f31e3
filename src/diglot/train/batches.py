"""From the order of samples to the micro-batches of every step, bad records rejected."""

import contextlib
import itertools
import multiprocessing
from collections import Counter
from collections.abc import Iterator

import torch
from accelerate import Accelerator

from diglot.core.batch import Batch
from diglot.core.errors import DataError, DiglotError
from diglot.core.rng import generator
from diglot.data.collate import EncodedSample, collate
from diglot.data.rejected import Rejected, Rejection
from diglot.train.config import StageConfig
from diglot.train.order import Order
from diglot.train.samples import PreparedSamples

# A run looks for a usable record among its first ones, and stops at once if there is none.
CHECKED_RECORDS = 1000


class WorkerError(DiglotError):
    """A data-loader worker ended before its work. The same command resumes the run."""


@contextlib.contextmanager
def explain_dead_workers() -> Iterator[None]:
    """Raise WorkerError in place of torch's RuntimeError, which may come up at any line."""
    try:
        yield
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise WorkerError(
            "a data-loader worker was killed",
            got=str(error).splitlines()[0],
            where="workers",
            fix="Most often the machine had no memory left: use fewer workers. "
            "The same command resumes the run from its last saved state.",
        ) from error


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
        """The first record that can be used, alone; every objective that takes turns tries one.

        Raises DataError where none can.
        """
        reasons: Counter[str] = Counter()
        usable: dict[int, EncodedSample] = {}  # by turn
        steps = map(self.order.step, range(self.order.steps_per_epoch))
        keys = itertools.chain.from_iterable(steps)
        for key in itertools.islice(keys, CHECKED_RECORDS):
            if key[1] in usable:
                continue
            item = self.samples[key]
            if isinstance(item, EncodedSample):
                usable[key[1]] = item
                if len(usable) > len(self.order.shares):
                    break
                continue
            reasons[item.reason] += 1
            if self.accelerator.is_main_process:
                self.rejected.note(item)
        if usable:
            return collate([usable[min(usable)]], row_tokens=self.config.row_tokens)
        raise DataError(
            f"none of the first {reasons.total()} records can be used; "
            f"the commonest reason: {reasons.most_common(1)[0][0]}",
            where=str(self.samples.dataset.folder),
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
            generator=generator(self.config.seed, "loader"),
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
        return collate(usable, row_tokens=self.config.row_tokens) if usable else None


def _worker_start(config: StageConfig) -> str | None:
    if not config.workers:
        return None
    known = multiprocessing.get_all_start_methods()
    return config.worker_start or ("fork" if "fork" in known else "spawn")
