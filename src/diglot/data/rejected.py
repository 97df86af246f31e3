"""The file of rejected records: one JSON line each, with the reason, never the same line twice."""

import json
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from diglot.core.errors import DataError


@dataclass(frozen=True)
class Rejection:
    """A record that cannot be used, and why."""

    id: str
    reason: str  # the kind of mistake, the same for all records with it
    where: str  # file, sample and field
    detail: str = ""  # the whole message


def rejection_of(id: str, error: DataError) -> Rejection:
    """The rejection of record `id` for what `error` says of it."""
    return Rejection(id, error.what, error.where or "", str(error))


class Rejected:
    """Append-only list of rejected records in the JSONL file `path`, also across restarts.

    The file appears with the first rejection. A line torn by a kill is cut off on the next start.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._noted: set[tuple[str, str]] = set()
        self._reasons: Counter[str] = Counter()
        if path.exists():
            self._read()

    def note(self, rejection: Rejection) -> bool:
        """`add` a rejection."""
        one = rejection
        return self.add(one.id, one.reason, where=one.where, detail=one.detail)

    def add(self, id: str, reason: str, *, where: str = "", detail: str = "") -> bool:
        """Note that record `id` is unusable; on disk on return. False where it was noted before.

        `reason` groups records in `counts`; `detail` is the full message for this one.
        """
        if (id, reason) in self._noted:
            return False
        self.path.parent.mkdir(parents=True, exist_ok=True)
        entry = {"id": id, "reason": reason, "where": where}
        line = json.dumps(entry | ({"detail": detail} if detail else {})) + "\n"
        with open(self.path, "ab") as file:
            file.write(line.encode("ascii"))
            file.flush()
            os.fsync(file.fileno())
        self._remember(id, reason)
        return True

    @property
    def counts(self) -> dict[str, int]:
        """How many records were rejected for each reason, commonest first."""
        return dict(self._reasons.most_common())

    def __len__(self) -> int:
        return len(self._noted)

    def _remember(self, id: str, reason: str) -> None:
        self._noted.add((id, reason))
        self._reasons[reason] += 1

    def _read(self) -> None:
        content = self.path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.truncate(self.path, whole)
        for number, line in enumerate(content[:whole].splitlines(), start=1):
            try:
                record = json.loads(line)
                key = (str(record["id"]), str(record["reason"]))
            except (ValueError, KeyError, TypeError) as error:
                raise DataError(
                    "not a list of rejected records",
                    expected='{"id", "reason", "where"} on each line',
                    where=f"{self.path}:{number}",
                    fix="Move the file away.",
                ) from error
            if key not in self._noted:
                self._remember(*key)
