"""Finished slices become the dataset, in the input's order, whichever was finished first."""

import json
from collections.abc import Iterator
from itertools import compress
from pathlib import Path
from typing import Any

from diglot.core.errors import ConfigError, DataError
from diglot.data.rejected import Rejected
from diglot.data.writer import DatasetWriter
from diglot.files import replace_file, write_json
from diglot.synth.slice_files import (
    SliceResult,
    add_counts,
    part_path,
    read_account,
    read_part,
    same_lineage,
)

DUPLICATE = "two records with the same id"


def funnel_name(split: str) -> str:
    """The funnel's name in a dataset, where each split has its own."""
    return f"funnel-{split}.json"


def lost_name(split: str) -> str:
    """The name of the list of regions that were filtered, of each split."""
    return f"lost_regions-{split}.jsonl"


class Committer:
    """Moves slices into `writer` as soon as all before them are there; keeps the funnel.

    A slice's samples stay in its part until they are in a whole shard, so that a kill loses none.
    """

    def __init__(
        self, writer: DatasetWriter, folder: Path, rejected: Rejected, *, shard_samples: int
    ) -> None:
        self._writer, self._folder, self._rejected = writer, folder, rejected
        self._shard_samples = shard_samples
        self._next = 0
        self._waiting: set[int] = set()
        self._ends: list[tuple[int, int]] = []  # (samples at its end, slice) of parts still kept
        self._first_lineage: list[dict[str, str]] | None = None
        self.funnel: dict[str, dict[str, Any]] = {}
        self.images = self.samples = 0

    def has_samples(self, number: int) -> bool:
        """Whether a slice is done and all that it made is there: in its part, or in whole shards.

        A shard may have been lost since; what was in it is to be made again.
        """
        result = read_account(self._folder, number)
        if result is None or part_path(self._folder, number).exists():
            return result is not None
        return all(self._writer.has_id(id) or self._rejected.has_id(id) for id in result.ids)

    def take_done(self, number: int) -> None:
        """Note that a slice is done; commit it, and those that waited for it."""
        self._waiting.add(number)
        while self._next in self._waiting:
            self._waiting.remove(self._next)
            self._commit(self._next)
            self._next += 1

    def _commit(self, number: int) -> None:
        result = read_account(self._folder, number)
        assert result is not None, number
        self._check_lineage(result)
        self._add_samples(result)
        for drop in result.rejected:
            where = drop["where"] or drop["step"]
            self._rejected.add(drop["id"], drop["reason"], where=where, detail=drop["detail"])
        add_counts(self.funnel, result)
        self.images += result.images
        self._ends.append((self.samples, number))
        self._remove_parts()

    def _add_samples(self, result: SliceResult) -> None:
        """Add what a former run did not; a second record with an id is rejected."""
        new = [not self._writer.take_former(id) for id in result.ids]
        self.samples += new.count(False)
        if not any(new):
            return
        if not part_path(self._folder, result.number).exists():  # all in whole shards
            for id in compress(result.ids, new):
                self._reject_repeated(id, result.number)
            return
        for sample in compress(read_part(self._folder, result.number), new):
            self._add(sample, result.number)

    def _reject_repeated(self, id: str, number: int) -> None:
        """Raises DataError for an id that is no repeated one: its part was taken away meanwhile."""
        if not self._writer.has_id(id):
            raise DataError(
                "the samples of a finished slice are gone",
                got=f"no file, and record {id!r} in no shard",
                where=str(part_path(self._folder, number)),
                fix="Give the same command again: it makes the slice again.",
            )
        self._rejected.add(id, DUPLICATE, where=f"slice {number}")

    def _add(self, sample: Any, number: int) -> None:
        try:
            self._writer.add(sample)
            self.samples += 1
        except DataError as error:
            self._rejected.add(sample.id, error.what, where=f"slice {number}", detail=str(error))

    def _check_lineage(self, result: SliceResult) -> None:
        first = self._first_lineage = self._first_lineage or result.lineage
        if not same_lineage(first, result.lineage):
            raise ConfigError(
                "a model or prompt changed since the synthesis was begun",
                expected=json.dumps(first),
                got=json.dumps(result.lineage),
                where=f"slice {result.number}",
                fix="Choose another output folder; steps before the change are taken from --cache.",
            )

    def _remove_parts(self) -> None:
        """Delete the parts all of whose samples are in whole shards."""
        whole = len(self._writer) - len(self._writer) % self._shard_samples
        while self._ends and self._ends[0][0] <= whole:
            part_path(self._folder, self._ends.pop(0)[1]).unlink(missing_ok=True)

    def finish(self, out: Path, slices: int) -> None:
        """Write the funnel and the lost regions."""
        split = self._writer.split
        with (
            replace_file(out / lost_name(split)) as temporary,
            open(temporary, "w", encoding="utf-8") as file,
        ):
            for line in self._lost_lines(slices):
                file.write(line + "\n")
        counts = {"images": self.images, "samples": len(self._writer), "steps": self.funnel}
        write_json(out / funnel_name(split), counts)

    def remove_last_parts(self) -> None:
        """Delete the parts of the last, perhaps shorter shard; only once it is on the disk."""
        for _, number in self._ends:
            part_path(self._folder, number).unlink(missing_ok=True)

    def _lost_lines(self, slices: int) -> Iterator[str]:
        for number in range(slices):
            result = read_account(self._folder, number)
            for region in result.lost if result else ():
                yield json.dumps(region, ensure_ascii=False)
