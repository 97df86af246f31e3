"""From a foreign dataset to samples, and from samples to a foreign dataset, record by record."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from diglot.core.errors import ConfigError, DataError
from diglot.core.types import Sample
from diglot.data.format import Format, Row, count_lost
from diglot.data.raw_record import make_sample
from diglot.data.row_groups import RowGroups

# What parsing a foreign row may raise; anything else is a mistake of ours.
BAD_ROW = (DataError, KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError)


@dataclass(frozen=True)
class Rejection:
    """A foreign record that cannot be used."""

    id: str
    reason: str
    where: str
    detail: str


@dataclass
class Conversion:
    """What became of the records."""

    kept: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    """Records by reason."""
    lost: Counter[str] = field(default_factory=Counter)
    """Parts of kept records, by kind."""

    def as_json(self) -> dict[str, Any]:
        """All counts, the commonest first."""
        return {
            "kept": self.kept,
            "rejected": dict(self.rejected.most_common()),
            "lost": dict(_positive(self.lost)),
        }


def _positive(counts: Counter[str]) -> Iterator[tuple[str, int]]:
    return (pair for pair in counts.most_common() if pair[1] > 0)


def read_samples(
    source: Format, done: Conversion, reject: Callable[[Rejection], object]
) -> Iterator[Sample]:
    """The samples of a foreign dataset; one bad row is one rejection, a repeated id another.

    Ids met so far are kept on the disk, so memory does not grow with the dataset.
    Raises ConfigError or DataError as `Format.rows` does.
    """
    with RowGroups() as ids:
        for row in source.rows(done.lost):
            for made in _make_samples(source, row, done.lost):
                if isinstance(made, Sample) and not ids.is_new(made.id):
                    made = Rejection(made.id, "repeated id", row.where, "a record before has it")
                if isinstance(made, Sample):
                    done.kept += 1
                    yield made
                else:
                    done.rejected[made.reason] += 1
                    reject(made)


def _make_samples(source: Format, row: Row, lost: Counter[str]) -> Iterator[Sample | Rejection]:
    """The samples of one row, and a rejection for each record of it that cannot be used."""
    row_lost: Counter[str] = Counter()
    records = source.parse(row, row_lost)
    kept = False
    while True:
        id = row.id or row.where
        try:
            record = next(records, None)
            if record is None:
                break
            id = record.id
            sample = make_sample(record, source.box_unit, row_lost)
        except BAD_ROW as error:
            yield _rejection(id, row.where, error)  # a parser that raised has ended
        else:
            kept = True
            yield sample
    if kept:  # of rejected records nothing is lost besides
        lost.update(row_lost)


def _rejection(id: str, where: str, error: Exception) -> Rejection:
    if isinstance(error, DataError):
        return Rejection(id, error.what, where, str(error))
    if isinstance(error, KeyError):
        return Rejection(id, f"field {error.args[0]!r} is missing", where, repr(error))
    return Rejection(id, "record has another shape", where, f"{type(error).__name__}: {error}")


def write_samples(
    samples: Iterable[Sample], target: Format, folder: Path, done: Conversion
) -> None:
    """Write samples in a foreign format to a new folder; the format's losses are counted.

    Raises ConfigError where the folder has anything in it.
    """
    if folder.is_dir() and any(folder.iterdir()):
        raise ConfigError("the folder is not empty", where=str(folder), fix="Name a new one.")
    folder.mkdir(parents=True, exist_ok=True)
    with target.write(folder, done.lost) as writer:
        for sample in samples:
            try:
                writer.add(sample)
            except DataError as error:
                done.kept -= 1
                done.rejected[error.what] += 1
            else:
                count_lost(sample, target.holds, done.lost)
