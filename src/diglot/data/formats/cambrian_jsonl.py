"""Cambrian's JSONL (Tong et al. 2024): LLaVA's records, one a line."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from diglot.core.types import Sample
from diglot.data.format import CAPTION, CONVERSATION, MANY_IMAGES, Row
from diglot.data.formats import _llava
from diglot.data.image_files import ImageWriter, find_image
from diglot.data.json_stream import parse_line, read_lines
from diglot.data.raw_record import BoxUnit, RawRecord
from diglot.data.record_json import LinesFile


@dataclass(frozen=True, kw_only=True)
class Config:
    """Where the files lie, and how to read them."""

    path: Path
    """The JSONL file."""
    images: Path
    """The folder that image paths count from."""
    captions: bool = False
    """Read answers as captions: for the alignment file."""
    number_ids: bool = True
    """Add the line's number to the id: Cambrian-10M repeats ids."""


def build(config: Config) -> "CambrianJsonl":
    """The format with its settings."""
    return CambrianJsonl(config)


class CambrianJsonl:
    """Reads and writes Cambrian's lines."""

    box_unit: BoxUnit = "xyxy"
    holds = frozenset((CAPTION, CONVERSATION, MANY_IMAGES))

    def __init__(self, config: Config) -> None:
        self._config = config

    def rows(self, lost: Counter[str]) -> Iterator[Row]:
        """A row a line."""
        return read_lines(self._config.path)

    def parse(self, row: Row, lost: Counter[str]) -> Iterator[RawRecord]:
        """The line's record."""
        config, record = self._config, parse_line(row.value)
        lost["sources of records"] += "source" in record
        images = tuple(find_image(config.images, n) for n in _llava.image_names(record))
        id = _llava.record_id(record, row.number, number_ids=config.number_ids)
        yield _llava.read_conversation(record, images, id, captions=config.captions)

    @contextmanager
    def write(self, folder: Path, lost: Counter[str]) -> Iterator["CambrianWriter"]:
        """A writer of data.jsonl and images/ in `folder`."""
        with LinesFile(folder / "data.jsonl") as lines:
            yield CambrianWriter(lines, ImageWriter(folder / "images", lost), lost)


class CambrianWriter:
    """Writes samples as lines."""

    def __init__(self, lines: LinesFile, images: ImageWriter, lost: Counter[str]) -> None:
        self._lines, self._images, self._lost = lines, images, lost

    def add(self, sample: Sample) -> None:
        """Write one sample."""
        self._lines.add(_llava.conversation_json(sample, self._images, self._lost))
