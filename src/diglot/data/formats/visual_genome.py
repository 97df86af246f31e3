"""Visual Genome's region descriptions (Krishna et al. 2016): many phrases with boxes, no caption.

`region_descriptions.json` is a list of {id, regions: [{region_id, image_id, phrase, x, y, width,
height}]} in pixels; `image_data.json` a list of {image_id, width, height, url}. Pictures are
`VG_100K/ID.jpg` or `VG_100K_2/ID.jpg`.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diglot.core.types import Sample
from diglot.data.format import REGIONS, Row
from diglot.data.image_files import ImageWriter, check_folder, find_image
from diglot.data.json_stream import ArrayFile, read_items
from diglot.data.raw_record import BoxUnit, RawRecord, RawRegion
from diglot.data.row_groups import RowGroups

_FOLDERS = ("VG_100K", "VG_100K_2")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Where the files lie."""

    path: Path
    """`region_descriptions.json`."""
    images: Path
    """The folder that holds VG_100K and VG_100K_2, or the pictures themselves."""
    image_data: Path | None = None
    """`image_data.json`, for sizes to check; beside the other file where not given."""


def build(config: Config) -> "VisualGenome":
    """The format with its settings."""
    return VisualGenome(config)


class VisualGenome:
    """Reads and writes region descriptions."""

    box_unit: BoxUnit = "xywh"
    holds = frozenset((REGIONS,))

    def __init__(self, config: Config) -> None:
        self._config = config
        self._sizes = config.image_data or config.path.with_name("image_data.json")

    def rows(self, lost: Counter[str]) -> Iterator[Row]:
        """A row an image: its descriptions and its sizes."""
        check_folder(self._config.images, "images")
        with RowGroups() as groups:
            if self._sizes.exists() or self._config.image_data:
                groups.add((str(_image_id(r.value)), r.value) for r in read_items(self._sizes))
            for row in read_items(self._config.path):
                id = str(_image_id(row.value))
                yield Row(row.where, (row.value, groups.get(id)), id)

    def parse(self, row: Row, lost: Counter[str]) -> Iterator[RawRecord]:
        """The image's record."""
        described, sizes = row.value
        sizes_hw = tuple((size["height"], size["width"]) for size in sizes[:1])
        regions = tuple(
            RawRegion(
                phrase=region["phrase"].strip(),
                box=(region["x"], region["y"], region["width"], region["height"]),
            )
            for region in described["regions"]
        )
        image = self._find_picture(row.id)
        yield RawRecord(id=row.id, images=(image,), sizes_hw=sizes_hw, regions=regions)

    def _find_picture(self, id: str) -> Path:
        """The picture of either archive. Raises DataError where it is in neither."""
        for folder in _FOLDERS:
            if (self._config.images / folder / f"{id}.jpg").exists():
                return find_image(self._config.images, f"{folder}/{id}.jpg")
        return find_image(self._config.images, f"{id}.jpg")

    @contextmanager
    def write(self, folder: Path, lost: Counter[str]) -> Iterator["VisualGenomeWriter"]:
        """A writer of the two JSON files and images/VG_100K in `folder`."""
        writer = VisualGenomeWriter(folder, lost)
        yield writer
        writer.save()


def _image_id(value: Any) -> Any:
    """Versions 1.0 and 1.2 name it differently."""
    if not isinstance(value, dict):
        return ""
    return value.get("image_id", value.get("id", ""))


class VisualGenomeWriter:
    """Writes samples as region descriptions."""

    def __init__(self, folder: Path, lost: Counter[str]) -> None:
        self._folder = folder
        self._images = ImageWriter(folder / "images" / "VG_100K", lost)
        self._regions, self._sizes = ArrayFile(("",)), ArrayFile(("",))
        self._count = 0

    def add(self, sample: Sample) -> None:
        """Write one sample."""
        name = self._images.write(sample.image, sample.id, suffix=".jpg", flat=True)
        image_id: int | str = name.removesuffix(".jpg")
        image_id = int(image_id) if image_id.isdecimal() else image_id
        regions = [self._write_region(r.phrase, r.box, image_id) for r in sample.regions]
        height, width = sample.size_hw
        self._regions.add("", {"id": image_id, "regions": regions})
        self._sizes.add("", {"image_id": image_id, "width": width, "height": height})

    def _write_region(self, phrase: str, box: Any, image_id: int | str) -> dict[str, Any]:
        self._count += 1
        x0, y0, x1, y1 = box
        sides = {"x": x0, "y": y0, "width": x1 - x0, "height": y1 - y0}
        return {"region_id": self._count, "image_id": image_id, "phrase": phrase, **sides}

    def save(self) -> None:
        """Write both files."""
        self._regions.save(self._folder / "region_descriptions.json")
        self._sizes.save(self._folder / "image_data.json")
