"""The datasets that a run learns from: one or several, their records numbered through."""

import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path

import numpy as np

from diglot.core.types import Sample
from diglot.data.config import DataSource
from diglot.data.labels import Labels, open_labels
from diglot.data.records import Dataset, open_dataset


@dataclass(frozen=True)
class RunDataset:
    """One dataset of a run, opened."""

    dataset: Dataset
    labels: Labels | None = None
    weight: float = 1.0
    """Passes over it in each epoch."""
    name: str = ""
    """Of one of several, its path and split; "" = the only one."""
    most: int | None = None
    """Use its first so many records."""

    @property
    def records(self) -> int:
        """How many of its records are used."""
        return min(len(self.dataset), self.most or len(self.dataset))

    @property
    def fingerprint(self) -> str:
        """Names its content, and that of its labels if any."""
        with_labels = f" with labels {self.labels.fingerprint}" if self.labels else ""
        return self.dataset.fingerprint + with_labels


class TrainingData:
    """The records of all datasets of a run, the first dataset's before the second's.

    Safe to send to other processes.
    """

    def __init__(self, sources: Sequence[RunDataset]) -> None:
        self.sources = tuple(sources)
        self._ends = list(accumulate(source.records for source in self.sources))

    def __len__(self) -> int:
        return self._ends[-1]

    def locate(self, index: int) -> tuple[int, int]:
        """Record `index` as (number of its dataset, number within it)."""
        number = bisect.bisect_right(self._ends, index)
        return number, index - (self._ends[number - 1] if number else 0)

    def __getitem__(self, index: int) -> Sample:
        """The record at `index`, checked. Raises DataError as `Dataset` does."""
        number, inner = self.locate(index)
        return self.sources[number].dataset[inner]

    def id_of(self, index: int) -> str:
        """The id of a record; #number where it lacks one."""
        number, inner = self.locate(index)
        return self.sources[number].dataset.ids[inner] or f"#{inner}"

    def name_of(self, index: int) -> str:
        """The dataset of a record, where there are several; else ""."""
        return self.sources[self.locate(index)[0]].name

    @cached_property
    def conversations(self) -> np.ndarray:
        """Whether each record is a conversation, in order; bool (N,)."""
        flags = [source.dataset.conversations[: source.records] for source in self.sources]
        return np.concatenate(flags)

    @property
    def fingerprint(self) -> str:
        """Names the content of all datasets, in order, their labels included."""
        return " and ".join(source.fingerprint for source in self.sources)


def open_data(sources: Sequence[DataSource], *, most: int | None = None) -> TrainingData:
    """Open the datasets of a stage, of each the first `most` records.

    Raises ConfigError or DataError as `open_dataset` and `open_labels` do.
    """
    return TrainingData(
        [_open_source(source, most, several=len(sources) > 1) for source in sources]
    )


def _open_source(source: DataSource, most: int | None, *, several: bool) -> RunDataset:
    dataset = open_dataset(Path(source.path), source.split or "train")
    return RunDataset(
        dataset=dataset,
        labels=open_labels(Path(source.labels), dataset) if source.labels else None,
        weight=source.weight,
        name=f"{source.path}, {dataset.split}" if several else "",
        most=most,
    )
