"""The file of rejected records: one JSON line each, with the reason, never the same line twice."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from diglot.core.errors import DataError
from diglot.files import append_lines, read_lines

REJECTED = "rejected.jsonl"  # its name in a folder


@dataclass(frozen=True)
class Rejection:
    """A record that cannot be used, and why."""

    id: str
    reason: str  # the kind of mistake, the same for all records with it
    where: str  # file, sample and field
    detail: str = ""  # the whole message
    dataset: str = ""  # of a run that reads several: which


def rejected_name(split: str) -> str:
    """The list's name in a dataset, where each split has its own: they may be written at once."""
    return f"rejected-{split}.jsonl"


def rejection_of(id: str, error: DataError) -> Rejection:
    """The rejection of record `id` for what `error` says of it."""
    return Rejection(id, error.what, error.where or "", str(error))


def none_usable_error(where: str, listed: Path) -> DataError:
    """That every record of some data was rejected, and where the reasons are."""
    fix = f"The reasons are in {listed}."
    return DataError("no record could be used: all are rejected", where=where, fix=fix)


class Notes(Protocol):
    """Takes rejections."""

    def note(self, rejection: Rejection) -> object:
        """Note one."""
        ...


class Rejected:
    """Append-only list of rejected records in the JSONL file `path`, also across restarts.

    The file appears with the first rejection. A line torn by a kill is cut off on the next start.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._noted: set[tuple[str, str, str]] = set()  # dataset, id, reason
        self._ids = set[tuple[str, str]]()
        self._reasons: Counter[str] = Counter()
        self._read_lines()

    @classmethod
    def begin(cls, path: Path) -> "Rejected":
        """An empty list, for work that goes through all its records again.

        Raises DataError where the file is another: it is not ours to delete.
        """
        for _ in read_rejections(path):
            pass
        path.unlink(missing_ok=True)
        return cls(path)

    def note(self, rejection: Rejection) -> bool:
        """`add` a rejection."""
        one = rejection
        return self.add(one.id, one.reason, where=one.where, detail=one.detail, dataset=one.dataset)

    def of_dataset(self, name: str) -> "DatasetRejected":
        """The same list, for the records of one dataset; "" names the only one."""
        return DatasetRejected(self, name)

    def add(
        self, id: str, reason: str, *, where: str = "", detail: str = "", dataset: str = ""
    ) -> bool:
        """Note that record `id` is unusable; on disk on return. False where it was noted before.

        `reason` groups records in `counts`; `detail` is the full message for this one.
        """
        if (dataset, id, reason) in self._noted:
            return False
        entry = {"id": id, "reason": reason, "where": where}
        entry |= {"detail": detail} if detail else {}
        entry |= {"dataset": dataset} if dataset else {}
        append_lines(self.path, [json.dumps(entry)])
        self._remember_reason(dataset, id, reason)
        return True

    def has_id(self, id: str, *, dataset: str = "") -> bool:
        """Whether record `id` of a dataset was rejected, for whatever reason."""
        return (dataset, id) in self._ids

    @property
    def counts(self) -> dict[str, int]:
        """How many records were rejected for each reason, commonest first."""
        return dict(self._reasons.most_common())

    def counts_of(self, dataset: str) -> dict[str, int]:
        """As `counts`, of the records of one dataset."""
        found = Counter(reason for name, _, reason in self._noted if name == dataset)
        return dict(found.most_common())

    def records_of(self, dataset: str) -> int:
        """How many records of one dataset were rejected, for whatever reasons."""
        return len({id for name, id, _ in self._noted if name == dataset})

    def __len__(self) -> int:
        return len(self._noted)

    def _remember_reason(self, dataset: str, id: str, reason: str) -> None:
        self._noted.add((dataset, id, reason))
        self._ids.add((dataset, id))
        self._reasons[reason] += 1

    def _read_lines(self) -> None:
        for one in read_rejections(self.path):
            if (one.dataset, one.id, one.reason) not in self._noted:
                self._remember_reason(one.dataset, one.id, one.reason)


def read_rejections(path: Path) -> Iterator[Rejection]:
    """What a list holds, nothing where there is none. Raises DataError for a line that is none."""
    for number, line in enumerate(read_lines(path), start=1):
        try:
            record = json.loads(line)
            texts = {name: str(record.get(name, "")) for name in ("where", "detail", "dataset")}
            yield Rejection(id=str(record["id"]), reason=str(record["reason"]), **texts)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                "not a list of rejected records",
                expected='{"id", "reason", "where"} on each line',
                where=f"{path}:{number}",
                fix="Move the file away.",
            ) from error


@dataclass(frozen=True)
class DatasetRejected:
    """The list of rejected records as one of several datasets writes to it."""

    rejected: Rejected
    dataset: str

    def note(self, rejection: Rejection) -> bool:
        """Note a rejection under the dataset's name."""
        return self.rejected.note(replace(rejection, dataset=self.dataset))
