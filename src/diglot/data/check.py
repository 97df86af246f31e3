"""A whole dataset checked in parallel for what training would trip on."""

import multiprocessing
import os
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from diglot.core.progress import Progress, Report, ignore_progress
from diglot.data import shards
from diglot.data.checks.duplicates import find_duplicates
from diglot.data.checks.fault import LEVELS, Fault
from diglot.data.checks.rows import RowFaults, Settings, ShardRows, check_part, list_parts
from diglot.data.row_groups import IdStore, RowGroups

# Below this many records, starting processes takes longer than checking.
_ALONE = 512


@dataclass
class DatasetCheck:
    """The faults of a dataset, counted by kind, with an example of each."""

    records: int = 0
    unusable: int = 0
    """Records that the reader refuses, or training would."""
    faults: Counter[str] = field(default_factory=Counter)
    """Faults by kind."""
    affected: Counter[str] = field(default_factory=Counter)
    """Records by kind of fault."""
    examples: dict[str, str] = field(default_factory=dict)
    """A record's id and field for every kind."""

    @property
    def clean(self) -> bool:
        """Is nothing worse than a note?"""
        return all(LEVELS[kind] == "note" for kind in self.faults)

    def as_json(self) -> dict[str, Any]:
        """All counts, faults in the order of the table."""
        return {
            "records": self.records,
            "unusable": self.unusable,
            "faults": {
                kind: {
                    "level": LEVELS[kind],
                    "faults": self.faults[kind],
                    "records": self.affected[kind],
                    "example": self.examples[kind],
                }
                for kind in LEVELS
                if self.faults[kind]
            },
        }


def check_dataset(
    folder: Path,
    split: str = "train",
    *,
    settings: Settings,
    note: Callable[[int, str, Fault], object] = lambda index, id, fault: None,
    duplicate_bits: int = 3,
    workers: int | None = None,
    report: Report = ignore_progress,
) -> DatasetCheck:
    """Every fault of every record of a split; `note` gets each (index, id, fault) as it is found.

    Memory: 8 bytes a picture for the search for near duplicates; ids are kept on the disk.

    Args:
        folder: The dataset.
        split: Which split.
        settings: What to check for.
        note: Called for each fault.
        duplicate_bits: Most bits of 64 in which near duplicates' hashes differ; -1: not sought.
        workers: Processes; None: one for each core, and none for a small dataset.
        report: Takes the progress.

    Raises ConfigError where there is no such split, or it is empty.
    """
    parts = list_parts(shards.find_shards(folder, split))
    result, found = DatasetCheck(), array("Q")
    owners: array[int] = array("Q")
    with IdStore() as met, RowGroups() as ids:
        for row in _check_all(parts, settings, workers, report):
            faults = row.faults
            if row.id and not met.is_new(row.id):
                faults += (Fault("repeated id", "id"),)
            _count_record(result, row.id, faults, note)
            found.extend(row.hashes)
            owners.extend([result.records - 1] * len(row.hashes))
            ids.add([(str(result.records - 1), row.id)])
        if not result.records:
            raise shards.empty_error(folder, split)
        if duplicate_bits >= 0:
            _note_duplicates(found, owners, duplicate_bits, ids, result, note)
    return result


def _check_all(
    parts: list[ShardRows], settings: Settings, workers: int | None, report: Report
) -> Iterator[RowFaults]:
    """The faults of all records in order."""
    total = sum(part.rows for part in parts)
    if workers is None:
        workers = 0 if total < _ALONE else os.cpu_count() or 1
    done = 0
    checked = (
        _in_processes(parts, settings, workers)
        if workers
        else (check_part(part, settings) for part in parts)
    )
    for rows in checked:
        yield from rows
        done += len(rows)
        report(Progress("records", done, max(total, done)))


def _in_processes(
    parts: list[ShardRows], settings: Settings, workers: int
) -> Iterator[list[RowFaults]]:
    """The parts' faults in order, a bounded number of parts at work."""
    context = multiprocessing.get_context("spawn")  # Arrow's threads do not survive a fork
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        waiting = iter(parts)
        running: list[Future[list[RowFaults]]] = [
            pool.submit(check_part, part, settings) for part in islice(waiting, 4 * workers)
        ]
        while running:
            yield running.pop(0).result()
            running += [pool.submit(check_part, part, settings) for part in islice(waiting, 1)]


def _count_record(
    result: DatasetCheck,
    id: str,
    faults: tuple[Fault, ...],
    note: Callable[[int, str, Fault], object],
) -> None:
    """Add one record to the result."""
    for fault in faults:
        _count_fault(result, result.records, id, fault, note)
    result.affected.update({fault.kind for fault in faults})
    result.unusable += any(fault.level != "note" for fault in faults)
    result.records += 1


def _count_fault(
    result: DatasetCheck,
    index: int,
    id: str,
    fault: Fault,
    note: Callable[[int, str, Fault], object],
) -> None:
    result.faults[fault.kind] += 1
    result.examples.setdefault(fault.kind, f"{id or f'record {index}'} {fault.where}".strip())
    note(index, id, fault)


def _note_duplicates(
    found: "array[int]",
    owners: "array[int]",
    bits: int,
    ids: RowGroups,
    result: DatasetCheck,
    note: Callable[[int, str, Fault], object],
) -> None:
    kind = "near duplicate of another image"
    duplicates = find_duplicates(np.frombuffer(found, np.uint64), distance=bits) if found else {}
    records: dict[int, int] = {}
    for image, original in duplicates.items():
        if owners[image] != owners[original]:
            records.setdefault(owners[image], owners[original])
    for index, original in records.items():
        (id,), (of,) = ids.get(str(index)), ids.get(str(original))
        _count_fault(result, index, id, Fault(kind, "images", of), note)
    result.affected[kind] += len(records)
