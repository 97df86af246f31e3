"""RefCOCO, RefCOCO+ and RefCOCOg (Yu et al. 2016; Mao et al. 2016): referring expressions.

`refs(unc).p`, or the same as JSON, is a list of {ref_id, ann_id, image_id, category_id, split,
sentences: [{sent, raw, tokens}]}; `instances.json` is COCO's, with the boxes and polygons. A record
is an image, with a region for every sentence; it has no caption.

Expressions are held in memory while reading and writing (142,210 in the largest of the three).
"""

import pickle
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from diglot.core.errors import DataError
from diglot.core.types import Region, Sample
from diglot.data.format import LABELS, MASKS, REGIONS, Row
from diglot.data.formats.coco import CocoWriter
from diglot.data.image_files import check_folder, find_image
from diglot.data.json_stream import open_binary, read_items
from diglot.data.raw_record import BoxUnit, RawRecord, RawRegion
from diglot.data.row_groups import RowGroups
from diglot.files import replace_file

_MAX_PICKLE_BYTES = 512 * 2**20


@dataclass(frozen=True, kw_only=True)
class Config:
    """Where the files lie."""

    path: Path
    """`refs(unc).p`, `refs(google).p` or `refs(umd).p`, or the same list as .json."""
    images: Path
    """The folder of COCO's train2014 pictures."""
    instances: Path | None = None
    """`instances.json`; beside the expressions where not given."""
    split: str | None = None
    """Only this split of the expressions: train, val, testA, testB or test; None: all."""


def build(config: Config) -> "RefCoco":
    """The format with its settings."""
    return RefCoco(config)


class RefCoco:
    """Reads and writes referring expressions."""

    box_unit: BoxUnit = "xywh"
    holds = frozenset((REGIONS, LABELS, MASKS))

    def __init__(self, config: Config) -> None:
        self._config = config
        self._instances = config.instances or config.path.with_name("instances.json")

    def rows(self, lost: Counter[str]) -> Iterator[Row]:
        """A row an image that has expressions: {image, refs, objects by id, names}."""
        check_folder(self._config.images, "images")
        with RowGroups() as refs, RowGroups() as objects:
            refs.add(self._read_expressions(lost))
            rows = read_items(self._instances, "annotations.item")
            objects.add((str(row.value["image_id"]), row.value) for row in rows)
            categories = read_items(self._instances, "categories.item")
            names = {row.value["id"]: row.value["name"] for row in categories}
            for row in read_items(self._instances, "images.item"):
                id = str(row.value.get("id"))
                if found := refs.get(id):
                    yield Row(row.where, (row.value, found, objects.get(id), names), id)
            lost["expressions of images not listed"] += refs.added - refs.fetched

    def _read_expressions(self, lost: Counter[str]) -> Iterator[tuple[str, Any]]:
        """(image, [object, sentences]) of every expression of the split."""
        for ref in _read_refs(self._config.path):
            if self._config.split in (None, ref["split"]):
                sentences = [str(sentence["sent"]) for sentence in ref["sentences"]]
                yield str(ref["image_id"]), [str(ref["ann_id"]), sentences]
            else:
                lost["expressions of other splits"] += 1

    def parse(self, row: Row, lost: Counter[str]) -> Iterator[RawRecord]:
        """The image's record."""
        image, refs, found, names = row.value
        objects = {str(annotation["id"]): annotation for annotation in found}
        regions: list[RawRegion] = []
        for object_id, sentences in refs:
            if object_id not in objects:
                raise DataError("expression of an unknown object", got=object_id)
            regions += _make_regions(sentences, objects[object_id], names)
        name = image["file_name"]
        yield RawRecord(
            id=PurePosixPath(name).with_suffix("").as_posix(),
            images=(find_image(self._config.images, name),),
            sizes_hw=((image["height"], image["width"]),),
            regions=tuple(regions),
        )

    @contextmanager
    def write(self, folder: Path, lost: Counter[str]) -> Iterator["RefCocoWriter"]:
        """A writer of refs(diglot).p, instances.json and images/ in `folder`."""
        writer = RefCocoWriter(folder, lost)
        yield writer
        writer.save()


def _make_regions(sentences: list[str], target: dict[str, Any], names: dict[Any, str]) -> Any:
    return [
        RawRegion(
            phrase=sentence.strip(),
            label=names[target["category_id"]],
            box=target["bbox"],
            mask=target.get("segmentation"),
        )
        for sentence in sentences
    ]


class _PlainUnpickler(pickle.Unpickler):
    """Reads lists, dicts, strings and numbers; whatever else a pickle may hold is refused."""

    def find_class(self, module_name: str, global_name: str) -> Any:
        raise DataError("pickle with code in it is refused", got=f"{module_name}.{global_name}")


def _read_refs(path: Path) -> Iterator[Any]:
    """The expressions of a pickle, or of a JSON list."""
    if path.suffix == ".json":
        yield from (row.value for row in read_items(path))
        return
    with open_binary(path) as file:
        if path.stat().st_size > _MAX_PICKLE_BYTES:
            raise DataError("pickle is too large", expected="512 MB at most", where=str(path))
        try:
            # written by Python 2: its strings are bytes
            yield from _PlainUnpickler(file, encoding="utf-8", errors="replace").load()
        except DataError:
            raise
        except Exception as error:  # a broken pickle raises nearly anything
            raise DataError(f"not a list of expressions ({error})", where=str(path)) from error


class RefCocoWriter:
    """Writes regions as expressions: those with the same box are sentences of one object."""

    def __init__(self, folder: Path, lost: Counter[str]) -> None:
        self._folder = folder
        self._coco = CocoWriter(folder, lost, phrases=True)
        self._refs: list[dict[str, Any]] = []

    def add(self, sample: Sample) -> None:
        """Write one sample."""
        groups: dict[Any, list[Region]] = {}
        for region in sample.regions:
            groups.setdefault((region.box, region.name), []).append(region)
        image_id = self._coco.add_image(sample)
        for regions in groups.values():
            object_id, category_id = self._coco.add_region(regions[0], image_id)
            self._add_ref(regions, object_id, category_id, image_id)

    def _add_ref(self, regions: list[Region], object_id: int, category: int, image: int) -> None:
        texts = [region.phrase for region in regions]
        sentences = [{"sent": t, "raw": t, "tokens": t.split(), "sent_id": 0} for t in texts]
        self._refs.append(
            {
                "ref_id": len(self._refs) + 1,
                "ann_id": object_id,
                "category_id": category,
                "image_id": image,
                "split": "train",
                "sentences": sentences,
            }
        )

    def save(self) -> None:
        """Write both files."""
        self._coco.save_instances()
        with replace_file(self._folder / "refs(diglot).p") as temporary:
            temporary.write_bytes(pickle.dumps(self._refs, protocol=2))
