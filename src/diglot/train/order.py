"""Which samples make which step: a pure function of seed, epoch and step, so nothing to save."""

import hashlib
from dataclasses import dataclass
from functools import lru_cache

import torch


def generator(*told: object) -> torch.Generator:
    """A generator seeded by what is told: the same on every machine and in every process."""
    digest = hashlib.sha256(repr(told).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


@lru_cache(maxsize=2)
def _shuffled(samples: int, seed: int, epoch: int) -> torch.Tensor:
    return torch.randperm(samples, generator=generator(seed, "order", epoch))


@dataclass(frozen=True)
class Order:
    """The order of samples: shuffled anew each epoch; an epoch's last step may be smaller."""

    samples: int
    global_batch: int
    epochs: int
    seed: int

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps of one pass over the data."""
        return -(-self.samples // self.global_batch)

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole run."""
        return self.steps_per_epoch * self.epochs

    def done(self, step: int) -> int:
        """Samples seen, counted in each epoch anew, when step `step` is over."""
        epoch, inside = divmod(step, self.steps_per_epoch)
        return epoch * self.samples + min(self.samples, (inside + 1) * self.global_batch)

    def step(self, step: int) -> list[tuple[int, int]]:
        """(epoch, sample index) of every sample of one optimizer step."""
        epoch, inside = divmod(step, self.steps_per_epoch)
        start = inside * self.global_batch
        shuffled = _shuffled(self.samples, self.seed, epoch)[start : start + self.global_batch]
        return [(epoch, i) for i in shuffled.tolist()]

    def micro_batches(
        self, step: int, micro_batch: int, process: int, processes: int
    ) -> list[list[tuple[int, int]]]:
        """This process's share of a step, cut into forward passes; every process gets as many.

        Shares may be empty where a step has fewer samples than there are processes.
        """
        keys = self.step(step)
        share = keys[process::processes]
        passes = -(-len(keys[0::processes]) // micro_batch)
        return [share[i * micro_batch : (i + 1) * micro_batch] for i in range(passes)]
