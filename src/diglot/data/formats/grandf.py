"""GranD-f (Rasheed et al. 2024): grounded captions for fine-tuning, with masks and no boxes.

The list of `GranDf_HA_GCG_*.json` and `OpenPsgGCG_*.json`: {file_name, caption, groundings:
{phrase: {token_positives [start, end), rle_masks: [RLE]}}}. A phrase with several masks gives a
region each. (The parts made from Flickr30k and RefCOCOg have schemas of their own: read those
through their own formats.)
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from diglot.core.types import Sample
from diglot.data.format import CAPTION, MASKS, REGIONS, SPANS, Row
from diglot.data.image_files import ImageWriter, find_image
from diglot.data.json_stream import ArrayFile, read_items
from diglot.data.raw_record import BoxUnit, RawRecord, RawRegion
from diglot.data.segmentation import rle_json
from diglot.data.spans import read_span


@dataclass(frozen=True, kw_only=True)
class Config:
    """Where the files lie."""

    path: Path
    """The JSON file."""
    images: Path
    """The folder that `file_name` counts from."""


def build(config: Config) -> "GrandF":
    """The format with its settings."""
    return GrandF(config)


class GrandF:
    """Reads and writes GranD-f's lists; boxes are the bounds of the masks."""

    box_unit: BoxUnit = "xyxy"
    holds = frozenset((CAPTION, REGIONS, SPANS, MASKS))

    def __init__(self, config: Config) -> None:
        self._config = config

    def rows(self, lost: Counter[str]) -> Iterator[Row]:
        """A row a caption."""
        return read_items(self._config.path)

    def parse(self, row: Row, lost: Counter[str]) -> Iterator[RawRecord]:
        """The caption's record."""
        record = row.value
        name = record["file_name"]
        caption = record["caption"].strip('"').strip()  # spans count in the stripped caption
        groups = [_make_regions(p, g, caption, lost) for p, g in record["groundings"].items()]
        yield RawRecord(
            id=PurePosixPath(name).with_suffix("").as_posix(),
            images=(find_image(self._config.images, name),),
            caption=caption,
            regions=tuple(region for group in groups for region in group),
        )

    @contextmanager
    def write(self, folder: Path, lost: Counter[str]) -> Iterator["GrandFWriter"]:
        """A writer of grandf.json and images/ in `folder`."""
        writer = GrandFWriter(folder, lost)
        yield writer
        writer.save()


def _make_regions(phrase: str, grounding: Any, caption: str, lost: Counter[str]) -> list[RawRegion]:
    span = read_span(grounding.get("token_positives"), phrase, caption)
    lost["spans that do not spell their phrase"] += span is None
    return [RawRegion(phrase=phrase, span=span, mask=mask) for mask in grounding["rle_masks"]]


class GrandFWriter:
    """Writes captions with the masks of their phrases; a phrase twice is held once."""

    def __init__(self, folder: Path, lost: Counter[str]) -> None:
        self._folder, self._lost = folder, lost
        self._images, self._list = ImageWriter(folder / "images", lost), ArrayFile(("",))

    def add(self, sample: Sample) -> None:
        """Write one sample."""
        record = {
            "file_name": self._images.write(sample.image, sample.id),
            "caption": sample.caption,
            "groundings": self._write_groundings(sample),
        }
        self._list.add("", record)

    def _write_groundings(self, sample: Sample) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for region in sample.regions:
            self._lost["regions without a mask"] += region.mask is None
            self._lost["regions without a span"] += region.span is None
            if region.mask is None or region.span is None:
                continue
            made = {"token_positives": list(region.span), "rle_masks": []}
            grounding = found.setdefault(region.phrase, made)
            if grounding["token_positives"] == list(region.span):
                grounding["rle_masks"].append(rle_json(region.mask))
            else:
                self._lost["regions of a phrase's second mention"] += 1
        return found

    def save(self) -> None:
        """Write the list."""
        self._list.save(self._folder / "grandf.json")
