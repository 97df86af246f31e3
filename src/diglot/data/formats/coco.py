"""COCO: instances (polygons, RLE compressed or not, crowds) and captions, in one or two JSON files.

Schema: cocodataset.org, "Data format": `images` {id, width, height, file_name}, `annotations`
{image_id, category_id, bbox [x, y, width, height], segmentation, iscrowd} or {image_id, caption},
`categories` {id, name}. Ids of samples are file names without suffix.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from diglot.core.types import Region, Sample
from diglot.data.format import CAPTION, LABELS, MASKS, REGIONS, SCORES, Row
from diglot.data.image_files import ImageWriter, check_folder, find_image
from diglot.data.json_stream import ArrayFile, read_items
from diglot.data.raw_record import BoxUnit, RawRecord, RawRegion
from diglot.data.row_groups import RowGroups
from diglot.data.segmentation import rle_json

HELD = frozenset((REGIONS, LABELS, MASKS, SCORES))


@dataclass(frozen=True, kw_only=True)
class Config:
    """Where COCO's files lie."""

    path: Path
    """The JSON file of instances, or of captions."""
    images: Path
    """The folder that `file_name` counts from."""
    captions: Path | None = None
    """The JSON file of captions, beside one of instances."""
    caption: Literal["first", "each"] = "first"
    """Of several captions of an image: keep the first, or make a record of each."""
    crowds: bool = False
    """Keep the regions of crowds (`iscrowd`), which are many objects at once."""


def build(config: Config) -> "Coco":
    """The format with its settings."""
    return Coco(config)


def name_unchanged(name: Any) -> Any:
    """COCO's file names count from the image folder."""
    return name


class Coco:
    """Reads and writes COCO's JSON. `file_name` maps a row's file name to one in the folder; files
    of its kind may have no `captions`.
    """

    box_unit: BoxUnit = "xywh"

    def __init__(
        self,
        config: Config,
        file_name: Callable[[Any], Any] = name_unchanged,
        *,
        captions: bool = True,
    ) -> None:
        self._config, self._file_name, self._captions = config, file_name, captions
        self.holds = HELD | {CAPTION} if captions else HELD

    def rows(self, lost: Counter[str]) -> Iterator[Row]:
        """A row an image: {"image", "annotations", "names" of categories}."""
        config = self._config
        check_folder(config.images, "images")
        names = {
            row.value["id"]: row.value["name"] for row in _read_named(config.path, "categories")
        }
        with RowGroups() as groups:
            for path in filter(None, (config.path, config.captions)):
                groups.add(_read_annotations(path, lost))
            for row in _read_named(config.path, "images"):
                key = str(row.value.get("id") if isinstance(row.value, dict) else None)
                found = groups.get(key)
                yield Row(row.where, {"image": row.value, "found": found, "names": names}, key)
            lost["annotations of images not listed"] += groups.added - groups.fetched

    def parse(self, row: Row, lost: Counter[str]) -> Iterator[RawRecord]:
        """The image's record, or one for each of its captions."""
        image, found = row.value["image"], row.value["found"]
        name = self._file_name(image["file_name"])
        path = find_image(self._config.images, name)
        captions = [a["caption"] for a in found if "caption" in a] or [""]
        boxed = [a for a in found if "caption" not in a]
        regions = tuple(self._make_regions(boxed, row.value["names"], lost))
        id = PurePosixPath(name).with_suffix("").as_posix()
        each = self._config.caption == "each" and len(captions) > 1
        if not each:
            lost["captions beyond the first"] += len(captions) - 1
        for number, caption in enumerate(captions if each else captions[:1]):
            yield RawRecord(
                id=f"{id}#{number}" if each else id,
                images=(path,),
                sizes_hw=((image["height"], image["width"]),) if "height" in image else (),
                caption=caption.strip(),
                regions=regions,
            )

    def _make_regions(self, found: list[Any], names: dict[Any, str], lost: Counter[str]) -> Any:
        for annotation in found:
            if annotation.get("iscrowd") and not self._config.crowds:
                lost["regions of crowds"] += 1
                continue
            lost["keypoints"] += "keypoints" in annotation
            name = names[annotation["category_id"]]
            yield RawRegion(
                phrase=name,
                label=name,
                box=annotation.get("bbox"),
                mask=annotation.get("segmentation"),
                score=annotation.get("score"),
            )

    @contextmanager
    def write(self, folder: Path, lost: Counter[str]) -> Iterator["CocoWriter"]:
        """A writer of instances.json, captions.json and images/ in `folder`."""
        writer = CocoWriter(folder, lost, captions=self._captions)
        yield writer
        writer.save()


def _read_named(path: Path, name: str) -> Iterator[Row]:
    return read_items(path, f"{name}.item")


def _read_annotations(path: Path, lost: Counter[str]) -> Iterator[tuple[str, Any]]:
    for row in _read_named(path, "annotations"):
        if isinstance(row.value, dict) and "image_id" in row.value:
            yield str(row.value["image_id"]), row.value
        else:
            lost["annotations without an image_id"] += 1


class CocoWriter:
    """Writes samples as COCO's instances and captions; `phrases` are kept elsewhere by the caller.

    A region's category is its label, else its phrase.
    """

    def __init__(
        self, folder: Path, lost: Counter[str], *, phrases: bool = False, captions: bool = True
    ) -> None:
        self._folder, self._lost = folder, lost
        self._phrases, self._has_captions = phrases, captions
        self._images = ImageWriter(folder / "images", lost)
        self._instances = ArrayFile(("images", "annotations", "categories"))
        self._captions = ArrayFile(("images", "annotations"))
        self._categories: dict[str, int] = {}

    def add(self, sample: Sample) -> None:
        """Write one sample."""
        number = self.add_image(sample)
        for region in sample.regions:
            self.add_region(region, number)
        if sample.caption and self._has_captions:
            caption_id = self._captions.counts["annotations"] + 1
            caption = {"id": caption_id, "image_id": number, "caption": sample.caption}
            self._captions.add("annotations", caption)

    def add_image(self, sample: Sample) -> int:
        """Write a sample's picture; returns its number."""
        number = self._instances.counts["images"] + 1
        height, width = sample.size_hw
        name = self._images.write(sample.image, sample.id)
        image = {"id": number, "width": width, "height": height, "file_name": name}
        for file in (self._instances, self._captions):
            file.add("images", image)
        return number

    def add_region(self, region: Region, image_id: int) -> tuple[int, int]:
        """Write a region; returns the numbers of the annotation and of its category."""
        x0, y0, x1, y1 = region.box
        if not self._phrases:
            self._lost["phrases other than the label"] += region.name != region.phrase
        segmentation = {"segmentation": rle_json(region.mask)} if region.mask else {}
        annotation = {
            "id": self._instances.counts["annotations"] + 1,
            "image_id": image_id,
            "category_id": self._category_number(region.name),
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            "area": (x1 - x0) * (y1 - y0),
            "iscrowd": 0,
            "score": region.score,
        }
        self._instances.add("annotations", annotation | segmentation)
        return annotation["id"], annotation["category_id"]

    def _category_number(self, name: str) -> int:
        if name not in self._categories:
            self._categories[name] = len(self._categories) + 1
            self._instances.add("categories", {"id": self._categories[name], "name": name})
        return self._categories[name]

    def save_instances(self) -> None:
        """Write instances.json."""
        self._instances.save(self._folder / "instances.json")

    def save(self) -> None:
        """Write both files."""
        self.save_instances()
        if self._has_captions:
            self._captions.save(self._folder / "captions.json")
