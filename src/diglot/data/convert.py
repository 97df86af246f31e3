"""From a foreign dataset to samples, and from samples to a foreign dataset, record by record."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from diglot.core.errors import ConfigError, DataError
from diglot.core.types import Sample
from diglot.data.format import Format, Row, SampleWriter, count_lost
from diglot.data.raw_record import make_sample
from diglot.data.records import open_dataset
from diglot.data.rejected import Rejection
from diglot.data.row_groups import IdStore
from diglot.data.writer import DatasetWriter
from diglot.files import lock_folder, replacing_folder

# What parsing a foreign row may raise; anything else is a mistake of ours.
BAD_ROW = (
    *(DataError, KeyError, TypeError, ValueError, AttributeError, IndexError),
    *(RecursionError, ArithmeticError, OSError),
)


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
            "lost": dict(_positive_counts(self.lost)),
        }


def _positive_counts(counts: Counter[str]) -> Iterator[tuple[str, int]]:
    return (pair for pair in counts.most_common() if pair[1] > 0)


def read_samples(
    source: Format, done: Conversion, reject: Callable[[Rejection], object]
) -> Iterator[Sample]:
    """The samples of a foreign dataset; one bad row is one rejection, a repeated id another.

    Ids met so far are kept on the disk, so memory does not grow with the dataset.
    Raises ConfigError or DataError as `Format.rows` does.
    """
    with IdStore() as ids:
        for row in source.rows(done.lost):
            for made in _make_samples(source, row, done.lost):
                if isinstance(made, Sample) and not ids.is_new(made.id):
                    made = Rejection(made.id, "repeated id", row.where, "a record before has it")
                if isinstance(made, Sample):
                    done.kept += 1
                    yield made
                else:
                    _reject_record(made, done, reject)


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
            yield _make_rejection(id, row.where, error)  # a parser that raised has ended
        else:
            kept = True
            yield sample
    if kept:  # of rejected records nothing is lost besides
        lost.update(row_lost)


def _make_rejection(id: str, where: str, error: Exception) -> Rejection:
    if isinstance(error, DataError):
        return Rejection(id, error.what, where, str(error))
    if isinstance(error, KeyError):
        return Rejection(id, f"field {error.args[0]!r} is missing", where, repr(error))
    if isinstance(error, OSError):
        return Rejection(id, "file cannot be read", where, str(error))
    return Rejection(id, "record has another shape", where, f"{type(error).__name__}: {error}")


def read_dataset(
    folder: Path, split: str, done: Conversion, reject: Callable[[Rejection], object]
) -> Iterator[Sample]:
    """The usable samples of a dataset of our own; each of the others is a rejection."""
    dataset = open_dataset(folder, split)
    for index in range(len(dataset)):
        try:
            sample = dataset[index]
        except DataError as error:
            _reject_record(_make_rejection(f"{split}[{index}]", str(folder), error), done, reject)
        else:
            done.kept += 1
            yield sample


def write_split(
    samples: Iterable[Sample],
    writer: DatasetWriter,
    done: Conversion,
    reject: Callable[[Rejection], object],
) -> None:
    """Write samples to a split of a dataset of our own, after what a killed call left."""
    for sample in samples:
        if not writer.take_former(sample.id):
            _add_sample(writer, sample, done, reject)


def write_foreign(
    samples: Iterable[Sample],
    target: Format,
    folder: Path,
    done: Conversion,
    reject: Callable[[Rejection], object],
) -> None:
    """Write samples in a foreign format to a new folder, which appears when it is whole.

    What the format cannot hold is counted in `done.lost`. Raises ConfigError where there is
    something in the folder.
    """
    refuse_occupied(folder)
    with lock_folder(folder, wait=False):
        refuse_occupied(folder)  # another process may just have ended
        with replacing_folder(folder) as staging, target.write(staging, done.lost) as writer:
            for sample in samples:
                if _add_sample(writer, sample, done, reject):
                    count_lost(sample, target.holds, done.lost)


def refuse_occupied(folder: Path) -> None:
    """Raises ConfigError where there is something in a folder of another format."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(
            "the folder holds files that are not of this command",
            expected="a new or empty folder",
            where=str(folder),
            fix="Name a new one.",
        )


def _add_sample(
    writer: SampleWriter, sample: Sample, done: Conversion, reject: Callable[[Rejection], object]
) -> bool:
    """Whether the writer could hold the sample."""
    try:
        writer.add(sample)
    except DataError as error:
        done.kept -= 1
        _reject_record(_make_rejection(sample.id, "while writing", error), done, reject)
        return False
    return True


def _reject_record(
    made: Rejection, done: Conversion, reject: Callable[[Rejection], object]
) -> None:
    done.rejected[made.reason] += 1
    reject(made)
