"""Which samples make which step: a pure function of seed, epoch and step, so nothing to save."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import torch

from diglot.train.config import StageConfig
from diglot.train.lanes import Lane

T = TypeVar("T")
Key = tuple[int, int, int]  # pass over the data, stream (see train/mixture), sample index


@dataclass(frozen=True, eq=False)
class Order:
    """The order of documents: shuffled anew each epoch; an epoch's last step may be smaller.

    The lanes' documents are interleaved evenly, so that every batch holds them in their ratio
    (VDEP: half of a batch in each mode).
    """

    lanes: tuple[Lane, ...]
    global_batch: int
    epochs: int
    seed: int
    max_steps: int | None = None

    def __post_init__(self) -> None:
        # of this order alone: lanes are too large to be compared
        object.__setattr__(self, "_documents", lru_cache(maxsize=2)(self._interleave))

    def _interleave(self, epoch: int) -> torch.Tensor:
        """(pass, stream, sample index) of an epoch's documents in order, int64 (N, 3)."""
        drawn = [lane.documents_of(self.seed, epoch) for lane in self.lanes]
        position = [(torch.arange(len(d)) + 0.5) / max(len(d), 1) for d in drawn]
        return torch.cat(drawn)[torch.cat(position).argsort(stable=True)]

    @property
    def documents(self) -> int:
        """Documents of one epoch."""
        return sum(lane.documents for lane in self.lanes)

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps of one pass over the data."""
        return -(-self.documents // self.global_batch)

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole run: its passes over the data, or `max_steps` of them."""
        steps = self.steps_per_epoch * self.epochs
        return steps if self.max_steps is None else min(steps, self.max_steps)

    def progress(self, step: int) -> float:
        """How much of the run is done at step `step`: 0 at the first, 1 at the last."""
        return step / (self.steps - 1) if self.steps > 1 else 1.0

    def done(self, step: int) -> int:
        """Documents trained on, counted in each epoch anew, when step `step` is over."""
        epoch, inside = divmod(step, self.steps_per_epoch)
        return epoch * self.documents + min(self.documents, (inside + 1) * self.global_batch)

    def step(self, step: int) -> list[Key]:
        """(pass, stream, sample index) of every document of one optimizer step."""
        epoch, inside = divmod(step, self.steps_per_epoch)
        start = inside * self.global_batch
        documents: torch.Tensor = self._documents(epoch)  # type: ignore[attr-defined]
        return [(n, t, i) for n, t, i in documents[start : start + self.global_batch].tolist()]

    def first_of(self, lane: Lane, count: int) -> Iterator[Key]:
        """The first documents of a lane, at most `count`."""
        documents = lane.documents_of(self.seed, 0)[:count].tolist()
        return ((number, stream, index) for number, stream, index in documents)

    def micro_batches(
        self, step: int, micro_batch: int, rank: int, world_size: int
    ) -> list[list[Key]]:
        """This process's share of a step, cut into forward passes; see `shard_for_rank`."""
        return shard_for_rank(self.step(step), micro_batch, rank, world_size)


def make_order(config: StageConfig, lanes: tuple[Lane, ...]) -> Order:
    """The order of a stage's documents."""
    return Order(lanes, config.global_batch, config.epochs, config.seed, config.max_steps)


def shard_for_rank(
    documents: list[T], micro_batch: int, rank: int, world_size: int
) -> list[list[T]]:
    """One process's share of a step's documents, cut into passes; every process gets as many.

    The i-th passes of all processes together are the i-th of one process with passes so much
    larger. A pass may be empty where there are fewer documents than processes.
    """
    together = micro_batch * world_size
    groups = [documents[i : i + together] for i in range(0, len(documents), together)]
    # one stretch each: a stride of two would give every process one stream alone
    return [
        group[len(group) * rank // world_size : len(group) * (rank + 1) // world_size]
        for group in groups
    ]
