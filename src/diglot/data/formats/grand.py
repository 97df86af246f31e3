"""GranD (Rasheed et al. 2024): a JSON file for each of SA-1B's images.

{FILE_NAME: {objects: [{id, bbox xyxy, segmentation RLE, labels, attributes}], floating_objects,
short_captions: [{caption, details: [{phrase, tokens_positive [start, end), id}]}], dense_caption:
{caption, details: [{phrase, tokens_positive, ids}]}}}. Objects that the caption names become
regions with a span; the others are regions by their first label.
"""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from diglot.core.types import Region, Sample
from diglot.data.format import CAPTION, LABELS, MASKS, REGIONS, SPANS, Row
from diglot.data.image_files import ImageWriter, check_folder, file_stem, find_image
from diglot.data.raw_record import BoxUnit, RawRecord, RawRegion
from diglot.data.row_groups import sorted_files
from diglot.data.segmentation import rle_json
from diglot.data.spans import read_span
from diglot.files import replace_text


@dataclass(frozen=True, kw_only=True)
class Config:
    """Where the files lie, and which caption to keep."""

    path: Path
    """The folder of JSON files."""
    images: Path
    """The folder of pictures."""
    caption: Literal["dense", "short"] = "dense"
    """Keep the dense caption, or the first short one."""


def build(config: Config) -> "Grand":
    """The format with its settings."""
    return Grand(config)


class Grand:
    """Reads and writes GranD's files."""

    box_unit: BoxUnit = "xyxy"
    holds = frozenset((CAPTION, REGIONS, LABELS, SPANS, MASKS))

    def __init__(self, config: Config) -> None:
        self._config = config

    def rows(self, lost: Counter[str]) -> Iterator[Row]:
        """A row a file: its path."""
        check_folder(self._config.images, "images")
        for path in sorted_files(check_folder(self._config.path, "annotations"), ".json"):
            yield Row(path.name, path, path.stem)

    def parse(self, row: Row, lost: Counter[str]) -> Iterator[RawRecord]:
        """The file's record."""
        [(name, content)] = json.loads(row.value.read_bytes()).items()
        caption = self._write_caption(content, lost)
        for kind in ("floating_objects", "relationships"):
            lost[kind.replace("_", " ")] += len(content.get(kind) or ())
        yield RawRecord(
            id=PurePosixPath(name).with_suffix("").as_posix(),
            images=(find_image(self._config.images, name),),
            caption=caption.get("caption") or "",
            regions=tuple(_read_regions(content["objects"], caption, lost)),
        )

    def _write_caption(self, content: dict[str, Any], lost: Counter[str]) -> dict[str, Any]:
        short, dense = content.get("short_captions") or [], content.get("dense_caption") or {}
        kept = dense if self._config.caption == "dense" else (short or [{}])[0]
        lost["captions beyond the one kept"] += len(short) + bool(dense) - bool(kept)
        return kept

    @contextmanager
    def write(self, folder: Path, lost: Counter[str]) -> Iterator["GrandWriter"]:
        """A writer of annotations/ and images/ in `folder`."""
        yield GrandWriter(folder, lost)


def _read_regions(
    objects: list[Any], caption: dict[str, Any], lost: Counter[str]
) -> Iterator[RawRegion]:
    by_id = {made["id"]: made for made in objects}
    named = set()
    for detail in caption.get("details") or ():
        span = read_span(detail.get("tokens_positive"), detail["phrase"], caption["caption"])
        lost["spans that do not spell their phrase"] += span is None
        for id in detail["ids"] if "ids" in detail else [detail["id"]]:
            if id in by_id:
                named.add(id)
                yield _make_region(by_id[id], detail["phrase"], span)
            else:
                lost["phrases without a box"] += 1
    for made in objects:
        lost["attributes"] += bool(made.get("attributes"))
        if made["id"] not in named:
            yield _make_region(made, made["labels"][0], None)


def _make_region(made: dict[str, Any], phrase: str, span: Any) -> RawRegion:
    labels = made.get("labels") or [phrase]
    mask = made.get("segmentation")
    return RawRegion(phrase=phrase, label=labels[0], box=made.get("bbox"), span=span, mask=mask)


class GrandWriter:
    """Writes samples, one file each."""

    def __init__(self, folder: Path, lost: Counter[str]) -> None:
        self._folder, self._lost = folder / "annotations", lost
        self._images = ImageWriter(folder / "images", lost)
        self._folder.mkdir()

    def add(self, sample: Sample) -> None:
        """Write one sample."""
        name = self._images.write(sample.image, sample.id, flat=True)
        spans = [(n, r) for n, r in enumerate(sample.regions) if r.span is not None]
        details = [
            {"phrase": r.phrase, "tokens_positive": list(r.span or ()), "ids": [n]}
            for n, r in spans
        ]
        content = {
            "objects": [self._write_object(n, r) for n, r in enumerate(sample.regions)],
            "floating_objects": [],
            "short_captions": [],
            "dense_caption": {"caption": sample.caption, "details": details},
        }
        path = self._folder / f"{file_stem(sample.id.replace('/', '_'))}.json"
        replace_text(path, json.dumps({name: content}, ensure_ascii=False))

    def _write_object(self, number: int, region: Region) -> dict[str, Any]:
        if region.span is None:
            self._lost["phrases other than the label"] += region.name != region.phrase
        mask = {} if region.mask is None else {"segmentation": rle_json(region.mask)}
        return {"id": number, "bbox": list(region.box), "labels": [region.name], **mask}
