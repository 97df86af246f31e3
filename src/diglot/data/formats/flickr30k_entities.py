"""Flickr30k Entities (Plummer et al. 2015): captions with marked phrases, and boxes by entity.

`Sentences/ID.txt` has a caption a line, "[/EN#283585/people Two young guys] look"; `Annotations/
ID.xml` the boxes: objects with one or more `name` (entity numbers) and a `bndbox` (xyxy pixels),
or `nobndbox`. Entity 0 is nothing visible. A caption is a record, `ID#0` to `ID#4`; an entity with
several boxes gives a region each.
"""

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diglot.core.errors import DataError
from diglot.core.types import Box, Region, Sample
from diglot.data.format import CAPTION, REGIONS, SPANS, Row
from diglot.data.formats._flickr_xml import read_annotation, write_annotation
from diglot.data.image_files import ImageWriter, check_folder, find_image
from diglot.data.raw_record import BoxUnit, RawRecord, RawRegion
from diglot.data.row_groups import sorted_files

_PHRASE = re.compile(r"\[/EN#(\d+)((?:/[^\s/\]]+)+) ([^\]]*)\]")
_MARKS = re.compile(r"\[/EN#|\]")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Where the files lie."""

    path: Path
    """The folder with Sentences/ and Annotations/."""
    images: Path
    """The folder of pictures, `ID.jpg`."""


def build(config: Config) -> "Flickr30kEntities":
    """The format with its settings."""
    return Flickr30kEntities(config)


class Flickr30kEntities:
    """Reads and writes the folders of Flickr30k Entities."""

    box_unit: BoxUnit = "xyxy"
    holds = frozenset((CAPTION, REGIONS, SPANS))

    def __init__(self, config: Config) -> None:
        self._config = config

    def rows(self, lost: Counter[str]) -> Iterator[Row]:
        """A row an image: the paths of its sentences and its boxes."""
        sentences = check_folder(self._config.path / "Sentences", "sentences")
        check_folder(self._config.path / "Annotations", "boxes")
        check_folder(self._config.images, "images")
        for path in sorted_files(sentences, ".txt"):
            yield Row(f"Sentences/{path.name}", path, path.stem)

    def parse(self, row: Row, lost: Counter[str]) -> Iterator[RawRecord]:
        """A record for each caption of the image."""
        annotation = self._config.path / "Annotations" / f"{row.id}.xml"
        size_hw, boxes = read_annotation(annotation.read_bytes())
        image = find_image(self._config.images, f"{row.id}.jpg")
        lines = [line for line in row.value.read_text("utf-8").splitlines() if line.strip()]
        for number, line in enumerate(lines):
            caption, phrases = read_sentence(line)
            regions = [_make_regions(phrase, boxes, lost) for phrase in phrases]
            yield RawRecord(
                id=f"{row.id}#{number}",
                images=(image,),
                sizes_hw=(size_hw,),
                caption=caption,
                regions=tuple(region for group in regions for region in group),
            )

    @contextmanager
    def write(self, folder: Path, lost: Counter[str]) -> Iterator["FlickrWriter"]:
        """A writer of Sentences/, Annotations/ and images/ in `folder`."""
        writer = FlickrWriter(folder, lost)
        yield writer
        writer.flush()


@dataclass(frozen=True)
class MarkedPhrase:
    """A marked phrase of a caption."""

    entity: str
    text: str
    start: int


def read_sentence(line: str) -> tuple[str, list[MarkedPhrase]]:
    """The caption without its marks, and its phrases. Raises DataError for marks left over."""
    caption, phrases, end = "", [], 0
    for found in _PHRASE.finditer(line):
        caption += line[end : found.start()]
        text = found[3].strip()
        if text:
            phrases.append(MarkedPhrase(found[1], text, len(caption)))
        caption += text
        end = found.end()
    caption = (caption + line[end:]).rstrip()
    if "[/EN#" in caption:
        raise DataError("mark of a phrase is torn", got=caption)
    return caption, phrases


def _make_regions(
    phrase: MarkedPhrase, boxes: dict[str, list[Box]], lost: Counter[str]
) -> list[RawRegion]:
    found = boxes.get(phrase.entity, [])
    lost["types of phrases"] += 1
    lost["phrases without a box"] += not found
    span = (phrase.start, phrase.start + len(phrase.text))
    return [RawRegion(phrase=phrase.text, box=box, span=span) for box in found]


class FlickrWriter:
    """Writes samples; successive ones with the same id before "#" are captions of one image."""

    def __init__(self, folder: Path, lost: Counter[str]) -> None:
        self._folder, self._lost = folder, lost
        self._images = ImageWriter(folder / "images", lost)
        self._group: list[Sample] = []
        for name in ("Sentences", "Annotations"):
            (folder / name).mkdir()

    def add(self, sample: Sample) -> None:
        """Write one sample. Raises DataError for a caption with marks of its own."""
        if _MARKS.search(sample.caption) or "\n" in sample.caption:
            raise DataError("caption holds brackets or line breaks, which are the format's marks")
        self._lost["ids written with #0"] += "#" not in sample.id
        if self._group and _image_id(self._group[0]) != _image_id(sample):
            self.flush()
        self._group.append(sample)

    def flush(self) -> None:
        """Write the captions and boxes of the image that is waiting."""
        if not self._group:
            return
        first = self._group[0]
        name = self._images.write(first.image, _image_id(first), suffix=".jpg", flat=True)
        stem = name.removesuffix(".jpg")
        entities: dict[str, list[Box]] = {}
        lines = [self._mark_phrases(sample, entities) for sample in self._group]
        for kind, content in (
            ("Sentences/{}.txt", "\n".join(lines) + "\n"),
            ("Annotations/{}.xml", write_annotation(name, first.size_hw, entities)),
        ):
            path = self._folder / kind.format(stem)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, "utf-8")
        self._group = []

    def _mark_phrases(self, sample: Sample, entities: dict[str, list[Box]]) -> str:
        """The caption with its phrases marked; boxes go into `entities` by a new number each."""
        line, end = "", 0
        for (start, stop), regions in _by_span(sample, self._lost):
            entity = str(len(entities) + 1)
            entities[entity] = [region.box for region in regions]
            line += f"{sample.caption[end:start]}[/EN#{entity}/other {sample.caption[start:stop]}]"
            end = stop
        return line + sample.caption[end:]


def _by_span(sample: Sample, lost: Counter[str]) -> list[tuple[Any, list[Region]]]:
    """Regions by span, in the caption's order; those that the marks cannot hold are counted."""
    groups: dict[Any, list[Region]] = {}
    for region in sample.regions:
        lost["regions without a span"] += region.span is None
        if region.span is not None:
            groups.setdefault(region.span, []).append(region)
    kept: list[tuple[Any, list[Region]]] = []
    for span, regions in sorted(groups.items()):
        if kept and span[0] < kept[-1][0][1]:
            lost["regions of overlapping phrases"] += len(regions)
        else:
            kept.append((span, regions))
    return kept


def _image_id(sample: Sample) -> str:
    return sample.id.partition("#")[0]
