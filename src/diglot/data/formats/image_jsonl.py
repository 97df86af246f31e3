"""Our own light format: a line of JSON a record, with pictures as files beside it.

Fields: id, image (path relative to the file) or images, caption or turns [{role, text, learn}],
regions [{phrase, label, box xyxy, span, mask as RLE, score, source}], lineage. Everything of a
sample fits.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diglot.core.types import Sample
from diglot.data.format import EVERYTHING, Row
from diglot.data.image_files import ImageWriter, find_image
from diglot.data.json_stream import parse_line, read_lines
from diglot.data.raw_record import BoxUnit, RawRecord
from diglot.data.record_json import LinesFile, read_record_fields, record_fields


@dataclass(frozen=True, kw_only=True)
class Config:
    """Where the file lies."""

    path: Path
    """The .jsonl file."""
    images: Path | None = None
    """The folder that image paths count from; the file's own where not given."""


def build(config: Config) -> "ImageJsonl":
    """The format with its settings."""
    return ImageJsonl(config)


class ImageJsonl:
    """Reads and writes lines of image records."""

    box_unit: BoxUnit = "xyxy"
    holds = EVERYTHING

    def __init__(self, config: Config) -> None:
        self._path = config.path
        self._images = config.images or config.path.parent

    def rows(self, lost: Counter[str]) -> Iterator[Row]:
        """A row a line."""
        return read_lines(self._path)

    def parse(self, row: Row, lost: Counter[str]) -> Iterator[RawRecord]:
        """The line's record."""
        record = parse_line(row.value)
        names = record["images"] if "images" in record else [record.get("image")]
        paths = tuple(find_image(self._images, name) for name in names)
        yield RawRecord(id=str(record["id"]), images=paths, **read_record_fields(record))

    @contextmanager
    def write(self, folder: Path, lost: Counter[str]) -> Iterator["ImageJsonlWriter"]:
        """A writer of records.jsonl and images/ in `folder`."""
        with LinesFile(folder / "records.jsonl") as lines:
            yield ImageJsonlWriter(lines, ImageWriter(folder / "images", lost))


class ImageJsonlWriter:
    """Writes samples as lines."""

    def __init__(self, lines: LinesFile, images: ImageWriter) -> None:
        self._lines, self._images = lines, images

    def add(self, sample: Sample) -> None:
        """Write one sample."""
        fields: dict[str, Any] = {"id": sample.id}
        names = [f"images/{name}" for name in self._images.write_all(sample)]
        fields |= {"image": names[0]} if len(names) == 1 else {"images": names}
        self._lines.add(fields | record_fields(sample))
