"""SA-1B (Kirillov et al. 2023): a JSON file of masks without names beside each picture.

{image: {image_id, width, height, file_name}, annotations: [{id, bbox xywh, segmentation RLE
compressed, area, predicted_iou, stability_score, crop_box, point_coords}]}. Regions have no words
in this format: all get the same phrase.
"""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from diglot.core.types import Sample
from diglot.data.format import MASKS, REGIONS, SCORES, Row
from diglot.data.image_files import ImageWriter, check_folder, find_image
from diglot.data.raw_record import BoxUnit, RawRecord, RawRegion
from diglot.data.row_groups import sorted_files
from diglot.data.segmentation import rle_json
from diglot.files import replace_text


@dataclass(frozen=True, kw_only=True)
class Config:
    """Where the files lie."""

    path: Path
    """The folder of JSON files (an unpacked archive)."""
    images: Path | None = None
    """The folder of pictures; the same where not given."""
    phrase: str = "object"
    """The words that stand for every region."""


def build(config: Config) -> "Sa1b":
    """The format with its settings."""
    return Sa1b(config)


class Sa1b:
    """Reads and writes SA-1B's files."""

    box_unit: BoxUnit = "xywh"
    holds = frozenset((REGIONS, MASKS, SCORES))

    def __init__(self, config: Config) -> None:
        self._config = config

    def rows(self, lost: Counter[str]) -> Iterator[Row]:
        """A row a file: its path."""
        for path in sorted_files(check_folder(self._config.path, "annotations"), ".json"):
            yield Row(path.name, path, path.stem)

    def parse(self, row: Row, lost: Counter[str]) -> Iterator[RawRecord]:
        """The file's record; a mask's score is its predicted IoU, at most 1."""
        content = json.loads(row.value.read_bytes())
        image, masks = content["image"], content["annotations"]
        lost["points and crops of masks"] += len(masks)
        yield RawRecord(
            id=PurePosixPath(image["file_name"]).with_suffix("").as_posix(),
            images=(find_image(self._config.images or self._config.path, image["file_name"]),),
            sizes_hw=((image["height"], image["width"]),),
            regions=tuple(self._make_region(mask) for mask in masks),
        )

    def _make_region(self, mask: dict[str, Any]) -> RawRegion:
        return RawRegion(
            phrase=self._config.phrase,
            box=mask["bbox"],
            mask=mask["segmentation"],
            score=min(float(mask["predicted_iou"]), 1.0),
        )

    @contextmanager
    def write(self, folder: Path, lost: Counter[str]) -> Iterator["Sa1bWriter"]:
        """A writer of a picture and a JSON file for each sample in `folder`."""
        yield Sa1bWriter(folder, lost)


class Sa1bWriter:
    """Writes samples whose regions have masks."""

    def __init__(self, folder: Path, lost: Counter[str]) -> None:
        self._folder, self._lost = folder, lost
        self._images = ImageWriter(folder, lost)
        self._count = 0

    def add(self, sample: Sample) -> None:
        """Write one sample."""
        self._count += 1
        name = self._images.write(sample.image, sample.id, suffix=".jpg", flat=True)
        height, width = sample.size_hw
        image = {"image_id": self._count, "width": width, "height": height, "file_name": name}
        self._lost["phrases"] += len(sample.regions)
        self._lost["regions without a mask"] += sum(r.mask is None for r in sample.regions)
        masked = [(number, r) for number, r in enumerate(sample.regions) if r.mask is not None]
        annotations = [_write_annotation(number, region) for number, region in masked]
        path = self._folder / f"{name.removesuffix('.jpg')}.json"
        replace_text(path, json.dumps({"image": image, "annotations": annotations}))


def _write_annotation(number: int, region: Any) -> dict[str, Any]:
    x0, y0, x1, y1 = region.box
    return {
        "id": number,
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "area": (x1 - x0) * (y1 - y0),
        "segmentation": rle_json(region.mask),
        "predicted_iou": region.score,
    }
