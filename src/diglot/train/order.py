"""Which samples make which step: a pure function of seed, epoch and step, so nothing to save."""

from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import torch

from diglot.core.rng import generator

T = TypeVar("T")
Key = tuple[int, int, int]  # epoch, stream (see train/mixture), sample index


@lru_cache(maxsize=4)
def _shuffled(samples: int, seed: int, *stream: object) -> torch.Tensor:
    return torch.randperm(samples, generator=generator(seed, "order", *stream))


@lru_cache(maxsize=2)
def _documents(samples: int, seed: int, epoch: int, counts: tuple[int, ...]) -> torch.Tensor:
    """(stream, sample index) of an epoch's documents in order, (N, 2).

    Each stream's own documents are shuffled; then the streams are interleaved evenly, so that every
    batch holds them in their ratio (VDEP: half of a batch in each mode).
    """
    streams = [_shuffled(samples, seed, epoch)]
    for stream, count in enumerate(counts, start=1):
        passes = range(-(-count // samples))
        drawn = [_shuffled(samples, seed, epoch, stream, i) for i in passes]
        streams.append(torch.cat(drawn)[:count] if drawn else streams[0][:0])
    keyed = [torch.stack([torch.full_like(s, t), s], dim=1) for t, s in enumerate(streams)]
    position = [(torch.arange(len(s)) + 0.5) / max(len(s), 1) for s in streams]
    return torch.cat(keyed)[torch.cat(position).argsort(stable=True)]


@dataclass(frozen=True)
class Order:
    """The order of documents: shuffled anew each epoch; an epoch's last step may be smaller.

    Each sample is one document of the main objective; objectives that are mixed with it have
    `shares` documents for each of those.
    """

    samples: int
    global_batch: int
    epochs: int
    seed: int
    shares: tuple[float, ...] = ()
    max_steps: int | None = None

    @property
    def documents(self) -> int:
        """Documents of one epoch."""
        return self.samples + sum(self._counts)

    @property
    def _counts(self) -> tuple[int, ...]:
        return tuple(round(share * self.samples) for share in self.shares)

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
        """(epoch, stream, sample index) of every document of one optimizer step."""
        epoch, inside = divmod(step, self.steps_per_epoch)
        start = inside * self.global_batch
        documents = _documents(self.samples, self.seed, epoch, self._counts)
        return [(epoch, t, i) for t, i in documents[start : start + self.global_batch].tolist()]

    def micro_batches(
        self, step: int, micro_batch: int, rank: int, world_size: int
    ) -> list[list[Key]]:
        """This process's share of a step, cut into forward passes; see `shard_for_rank`."""
        return shard_for_rank(self.step(step), micro_batch, rank, world_size)


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
