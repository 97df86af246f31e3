"""Which records go to which objective, and how often: one lane for each dataset and objective.

A record is a document of the main objective, and `share` documents of each one that is mixed with
it. Where objectives are mixed, a record goes only to those that take its kind: captioned images to
`caption`, conversations to `instruct`. One that none of them takes stays with the main objective,
which rejects it with its reason.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch

from diglot.core.errors import ConfigError
from diglot.core.objective import KINDS, RecordKind
from diglot.core.rng import seeded_generator
from diglot.train.datasets import TrainingData


@dataclass(frozen=True, eq=False)
class Lane:
    """The records of one dataset that one objective learns from."""

    index_N: torch.Tensor
    """int64: the records, by their numbers among all datasets' of the run."""
    stream: int = 0
    """0 = the main objective's documents, from 1 on those of one that is mixed with it."""
    share: float = 1.0
    """Documents for each record in one epoch."""
    source: int = 0
    """The dataset's number."""

    @property
    def documents(self) -> int:
        """Documents of one epoch."""
        return round(self.share * len(self.index_N))

    def documents_of(self, seed: int, epoch: int) -> torch.Tensor:
        """(pass, stream, record) of its documents of an epoch, in order, int64 (documents, 3).

        Passes go over all records in an order of their own. The main objective's continue from one
        epoch to the next, so that every record comes as often as any other, to one; those of a
        mixed objective begin anew with every epoch.
        """
        records, count = len(self.index_N), self.documents
        begin = epoch * count if self.stream == 0 else 0
        passes = range(begin // records, -(-(begin + count) // records))
        drawn = [self._pass(seed, epoch, number, len(passes)) for number in passes]
        offset = begin - passes.start * records
        return torch.cat(drawn)[offset : offset + count] if drawn else torch.empty(0, 3).long()

    def _pass(self, seed: int, epoch: int, number: int, passes: int) -> torch.Tensor:
        key: tuple[object, ...] = (number,) if self.stream == 0 else (epoch, self.stream, number)
        key += ("dataset", self.source) if self.source else ()
        index_N = self.index_N[_shuffle_records(len(self.index_N), seed, *key)]
        number = number if self.stream == 0 else epoch * passes + number
        return torch.stack(
            [torch.full_like(index_N, value) for value in (number, self.stream)] + [index_N], dim=1
        )


@lru_cache(maxsize=16)
def _shuffle_records(samples: int, seed: int, *stream: object) -> torch.Tensor:
    return torch.randperm(samples, generator=seeded_generator(seed, "order", *stream))


def lanes_of_one(samples: int, shares: Sequence[float] = ()) -> tuple[Lane, ...]:
    """One dataset, each of whose samples is a document of the main objective and `shares` documents
    of those that are mixed with it.
    """
    index_N = torch.arange(samples)
    return tuple(Lane(index_N, stream, share) for stream, share in enumerate((1.0, *shares)))


def make_lanes(
    data: TrainingData, shares: Sequence[float], takes: Sequence[Collection[RecordKind]]
) -> tuple[Lane, ...]:
    """The lanes of a run.

    Args:
        data: Its datasets.
        shares: Of each mixed objective, documents for each document of the main one.
        takes: Of the main objective and of each mixed one, the kinds of record that it takes.

    Raises ConfigError where an objective would get no record, or a dataset no document.
    """
    stream_takes_N = _route_records(data, takes)
    for stream, records in enumerate(stream_takes_N):
        if not records.any():
            raise ConfigError(
                "an objective would get no record: the data holds none of the kind that it takes",
                expected=" or ".join(sorted(takes[stream])),
                where="mix" if stream else "objective",
            )
    lanes: list[Lane] = []
    start = 0
    for number, source in enumerate(data.sources):
        stop = start + source.records
        for stream, share in enumerate((1.0, *shares)):
            index_N = start + stream_takes_N[stream][start:stop].nonzero().squeeze(1)
            if len(index_N):
                lanes.append(Lane(index_N, stream, share * source.weight, number))
        if not any(lane.documents for lane in lanes if lane.source == number):
            raise ConfigError(
                "the dataset would give no document",
                expected=f"at least {1 / source.records:.2g}",
                got=source.weight,
                where=f"data, {source.name}, weight",
            )
        start = stop
    return tuple(lanes)


def _route_records(
    data: TrainingData, takes: Sequence[Collection[RecordKind]]
) -> list[torch.Tensor]:
    """Of each objective, bool (N,): does it get the record?"""
    if all(set(kinds) == set(KINDS) for kinds in takes) or len(takes) == 1:
        return [torch.ones(len(data), dtype=torch.bool) for _ in takes]
    talk_N = torch.from_numpy(data.conversations)
    taken = [torch.where(talk_N, "conversation" in kinds, "caption" in kinds) for kinds in takes]
    left_N = ~torch.stack(taken).any(dim=0)
    return [taken[0] | left_N, *taken[1:]]
