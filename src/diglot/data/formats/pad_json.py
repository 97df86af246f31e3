"""PAD (patch-aligned, arXiv 2505.17316): tags with boxes and masks of LLaVA's pretraining images.

A list of {image_id (a path), size [WIDTH, HEIGHT], caption, labels: [{tag, bbox xyxy, rle_mask}]};
`rle_mask` is COCO's compressed string for a mask of the image's size.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from diglot.core.types import Region, Sample, SizeHW
from diglot.data.format import CAPTION, LABELS, MASKS, REGIONS, Row
from diglot.data.image_files import ImageWriter, find_image
from diglot.data.json_stream import ArrayFile, read_items
from diglot.data.raw_record import BoxUnit, RawRecord, RawRegion


@dataclass(frozen=True, kw_only=True)
class Config:
    """Where the files lie."""

    path: Path
    """The JSON file."""
    images: Path
    """The folder that `image_id` counts from."""


def build(config: Config) -> "PadJson":
    """The format with its settings."""
    return PadJson(config)


class PadJson:
    """Reads and writes PAD's JSON."""

    box_unit: BoxUnit = "xyxy"
    holds = frozenset((CAPTION, REGIONS, LABELS, MASKS))

    def __init__(self, config: Config) -> None:
        self._config = config

    def rows(self, lost: Counter[str]) -> Iterator[Row]:
        """A row an image."""
        return read_items(self._config.path)

    def parse(self, row: Row, lost: Counter[str]) -> Iterator[RawRecord]:
        """The image's record."""
        record = row.value
        width, height = record["size"]
        name = record["image_id"]
        yield RawRecord(
            id=PurePosixPath(name).with_suffix("").as_posix(),
            images=(find_image(self._config.images, name),),
            sizes_hw=((height, width),),
            caption=record.get("caption") or "",
            regions=tuple(_make_region(label, (height, width)) for label in record["labels"]),
        )

    @contextmanager
    def write(self, folder: Path, lost: Counter[str]) -> Iterator["PadWriter"]:
        """A writer of pad.json and images/ in `folder`."""
        writer = PadWriter(folder, lost)
        yield writer
        writer.save()


def _make_region(label: dict[str, Any], size_hw: SizeHW) -> RawRegion:
    counts = label.get("rle_mask")
    mask = {"size": list(size_hw), "counts": counts} if isinstance(counts, str) else counts
    return RawRegion(phrase=label["tag"], label=label["tag"], box=label["bbox"], mask=mask)


class PadWriter:
    """Writes samples; a region's tag is its label, else its phrase."""

    def __init__(self, folder: Path, lost: Counter[str]) -> None:
        self._folder, self._lost = folder, lost
        self._images, self._list = ImageWriter(folder / "images", lost), ArrayFile(("",))

    def add(self, sample: Sample) -> None:
        """Write one sample."""
        height, width = sample.size_hw
        record = {
            "image_id": self._images.write(sample.image, sample.id),
            "size": [width, height],
            "caption": sample.caption,
            "labels": [self._write_label(region) for region in sample.regions],
        }
        self._list.add("", record)

    def _write_label(self, region: Region) -> dict[str, Any]:
        self._lost["phrases other than the label"] += region.name != region.phrase
        label: dict[str, Any] = {"tag": region.name, "bbox": list(region.box)}
        return label | ({"rle_mask": region.mask.counts} if region.mask else {})

    def save(self) -> None:
        """Write the list."""
        self._list.save(self._folder / "pad.json")
