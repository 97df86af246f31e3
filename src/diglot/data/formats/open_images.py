"""Open Images (Kuznetsova et al. 2020): boxes in a CSV file, as shares of the picture's sides.

Columns ImageID, LabelName ("/m/011k07"), Confidence, XMin, XMax, YMin, YMax, IsGroupOf, ...;
`class-descriptions-boxable.csv` has the label's name in its second column. Pictures are `ID.jpg`.
"""

import csv
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diglot.core.errors import ConfigError
from diglot.core.types import Sample
from diglot.data.format import LABELS, REGIONS, SCORES, Row
from diglot.data.image_files import ImageWriter, check_folder, find_image
from diglot.data.raw_record import BoxUnit, RawRecord, RawRegion
from diglot.data.row_groups import RowGroups
from diglot.files import replace_file

_COLUMNS = ("ImageID", "LabelName", "Confidence", "XMin", "XMax", "YMin", "YMax", "IsGroupOf")
_FLAGS = ("IsOccluded", "IsTruncated", "IsDepiction", "IsInside")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Where the files lie."""

    path: Path
    """The CSV file of boxes, such as `train-annotations-bbox.csv`."""
    images: Path
    """The folder of pictures, `ID.jpg`."""
    classes: Path | None = None
    """`class-descriptions-boxable.csv`; beside the boxes where not given."""
    groups: bool = False
    """Keep the boxes of groups (`IsGroupOf`), which are many objects at once."""


def build(config: Config) -> "OpenImages":
    """The format with its settings."""
    return OpenImages(config)


class OpenImages:
    """Reads and writes the CSV files of boxes."""

    box_unit: BoxUnit = "normalised"
    holds = frozenset((REGIONS, LABELS, SCORES))

    def __init__(self, config: Config) -> None:
        self._config = config
        beside = config.path.with_name("class-descriptions-boxable.csv")
        self._classes = config.classes or beside

    def rows(self, lost: Counter[str]) -> Iterator[Row]:
        """A row an image: its boxes, and the names of all labels."""
        check_folder(self._config.images, "images")
        names = {row[0]: row[1] for row in _read_rows(self._classes) if len(row) > 1}
        with RowGroups() as groups:
            groups.add((box["ImageID"], box) for box in _read_boxes(self._config.path))
            for id in groups.each_key():
                yield Row(f"{self._config.path.name}, {id}", (groups.get(id), names), id)

    def parse(self, row: Row, lost: Counter[str]) -> Iterator[RawRecord]:
        """The image's record."""
        boxes, names = row.value
        kept = [box for box in boxes if self._config.groups or box.get("IsGroupOf") != "1"]
        lost["regions of groups"] += len(boxes) - len(kept)
        lost["flags of boxes"] += sum(any(box.get(flag) == "1" for flag in _FLAGS) for box in kept)
        image = find_image(self._config.images, f"{row.id}.jpg")
        regions = tuple(_make_region(box, names) for box in kept)
        yield RawRecord(id=row.id, images=(image,), regions=regions)

    @contextmanager
    def write(self, folder: Path, lost: Counter[str]) -> Iterator["OpenImagesWriter"]:
        """A writer of the two CSV files and images/ in `folder`."""
        names = ("annotations-bbox.csv", "class-descriptions-boxable.csv")
        with ExitStack() as stack:
            files = [_open_csv(stack, folder / name) for name in names]
            files[0].writerow(_COLUMNS)
            yield OpenImagesWriter(files[0], files[1], ImageWriter(folder / "images", lost), lost)


def _make_region(box: dict[str, str], names: dict[str, str]) -> RawRegion:
    name = names[box["LabelName"]]
    sides = tuple(float(box[side]) for side in ("XMin", "YMin", "XMax", "YMax"))
    return RawRegion(phrase=name, label=name, box=sides, score=float(box.get("Confidence") or 1))


def _read_boxes(path: Path) -> Iterator[dict[str, str]]:
    """The boxes, columns by name. Raises ConfigError where one is missing."""
    rows = _read_rows(path)
    header = next(rows, [])
    missing = [name for name in _COLUMNS[:2] + _COLUMNS[3:7] if name not in header]
    if missing:
        raise ConfigError(f"no column {missing[0]!r}", got=", ".join(header), where=str(path))
    return (dict(zip(header, row, strict=False)) for row in rows if row)


def _read_rows(path: Path) -> Iterator[list[str]]:
    try:
        with open(path, encoding="utf-8", errors="replace", newline="") as file:
            yield from csv.reader(file)
    except OSError as error:
        raise ConfigError(f"cannot read: {error.strerror}", where=str(path)) from error


def _open_csv(stack: ExitStack, path: Path) -> Any:
    temporary = stack.enter_context(replace_file(path))
    return csv.writer(stack.enter_context(open(temporary, "w", encoding="utf-8", newline="")))


class OpenImagesWriter:
    """Writes samples; a region's class is its label, else its phrase."""

    def __init__(self, boxes: Any, classes: Any, images: ImageWriter, lost: Counter[str]) -> None:
        self._boxes, self._classes, self._images, self._lost = boxes, classes, images, lost
        self._labels: dict[str, str] = {}

    def add(self, sample: Sample) -> None:
        """Write one sample; one without regions leaves only its picture."""
        name = self._images.write(sample.image, sample.id, suffix=".jpg", flat=True)
        height, width = sample.size_hw
        self._lost["records without regions"] += not sample.regions
        for region in sample.regions:
            self._lost["phrases other than the label"] += region.name != region.phrase
            x0, y0, x1, y1 = region.box
            sides = (x0 / width, x1 / width, y0 / height, y1 / height)
            label = self._label_code(region.name)
            self._boxes.writerow((name.removesuffix(".jpg"), label, region.score, *sides, 0))

    def _label_code(self, name: str) -> str:
        if name not in self._labels:
            self._labels[name] = f"/diglot/{len(self._labels) + 1}"
            self._classes.writerow((self._labels[name], name))
        return self._labels[name]
