"""What a dataset format of others is: rows read one by one, and a writer of samples.

A format is a part: a file in `diglot.data.formats` with a frozen dataclass `Config` and a function
`build(config)` that makes a `Format`. Reading is in two steps, so that one bad row is one rejected
record: `rows` brings raw rows, `parse` makes records of one. Only `data.raw_record` turns records
into samples, so box units, EXIF orientation and path checks are the same for every format.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from diglot.config.parts import Part
from diglot.core.types import Sample
from diglot.data.raw_record import BoxUnit, RawRecord

CAPTION, SPANS, MASKS, SCORES = "caption", "spans", "masks", "scores"
REGIONS, LABELS, SOURCES, LINEAGE = "regions", "labels", "sources", "lineage"
CONVERSATION, MANY_IMAGES = "conversation", "several images"
EVERYTHING = frozenset(
    (CAPTION, SPANS, MASKS, SCORES, REGIONS, LABELS, SOURCES, LINEAGE, CONVERSATION, MANY_IMAGES)
)
OURS = "diglot"  # the name of our own


class FormatPart(Part):
    """A dataset format: a file of data/formats, or a module of the user's."""

    package = "diglot.data.formats"
    where = "format"


@dataclass(frozen=True)
class Row:
    """One row of a foreign file as it was read, and where: a file, a line, a record's number."""

    where: str
    value: Any
    id: str = ""
    """The record's id where it is known before parsing."""
    number: int = 0
    """The how-manieth of its file, from 1."""


class SampleWriter(Protocol):
    """Writes samples of a foreign format; made by `Format.write`."""

    def add(self, sample: Sample) -> None:
        """Write one sample. Raises DataError for one that the format cannot hold at all."""
        ...


class Format(Protocol):
    """A dataset format of others."""

    box_unit: BoxUnit
    """How its files give boxes."""
    holds: frozenset[str]
    """Which parts of a sample its files can hold; what else a sample has is counted as lost."""

    def rows(self, lost: Counter[str]) -> Iterator[Row]:
        """The rows of its files in order, never all in memory.

        Raises ConfigError for missing files, DataError where the rest of a file is unreadable.
        """
        ...

    def parse(self, row: Row, lost: Counter[str]) -> Iterator[RawRecord]:
        """The records of one row; what a Sample cannot hold is counted in `lost` by its kind.

        Raises DataError, KeyError, TypeError or ValueError for a row that cannot be used.
        """
        ...

    def write(self, folder: Path, lost: Counter[str]) -> AbstractContextManager[SampleWriter]:
        """A writer of a new folder; what the format cannot hold is counted in `lost`."""
        ...


def count_lost(sample: Sample, holds: frozenset[str], lost: Counter[str]) -> None:
    """Count what of `sample` a format that holds only `holds` cannot keep."""
    for kind, count in _parts_of(sample).items():
        if count and kind not in holds:
            lost[f"{kind} not held by the format"] += count


def _parts_of(sample: Sample) -> dict[str, int]:
    regions = sample.regions
    return {
        CAPTION: int(bool(sample.caption)),
        CONVERSATION: int(sample.is_conversation),
        MANY_IMAGES: int(len(sample.images) > 1),
        REGIONS: len(regions),
        SPANS: sum(region.span is not None for region in regions),
        MASKS: sum(region.mask is not None for region in regions),
        SCORES: sum(region.score != 1.0 for region in regions),
        LABELS: sum(region.label not in (None, region.phrase) for region in regions),
        SOURCES: sum(bool(region.source) for region in regions),
        LINEAGE: int(bool(sample.lineage)),
    }
