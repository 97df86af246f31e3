"""A Sample as one row of Parquet, with the features that Hugging Face `datasets` reads from it."""

import hashlib
import json
from typing import Any

import pyarrow as pa

from diglot.core.errors import DataError
from diglot.core.types import Lineage, Region, Rle, Sample

FORMAT_VERSION = 1
OPTIONAL_COLUMNS = {"lineage"}

_MASK = pa.struct({"size": pa.list_(pa.int32()), "counts": pa.string()})
_REGION = pa.struct(
    {
        "phrase": pa.string(),
        "label": pa.string(),
        "span": pa.list_(pa.int32()),
        "box": pa.list_(pa.float64()),
        "mask": _MASK,
        "score": pa.float64(),
        "source": pa.string(),
    }
)
_FIELDS = {
    "id": pa.string(),
    "image": pa.struct({"bytes": pa.binary(), "path": pa.string()}),
    "size_hw": pa.list_(pa.int32()),
    "caption": pa.string(),
    "regions": pa.list_(_REGION),
    "lineage": pa.list_(pa.struct({"step": pa.string(), "revision": pa.string()})),
}


def _feature(kind: pa.DataType) -> Any:
    if pa.types.is_list(kind):
        return {"feature": _feature(kind.value_type), "_type": "List"}
    if pa.types.is_struct(kind):
        return {field.name: _feature(field.type) for field in kind}
    return {"dtype": {"double": "float64"}.get(str(kind), str(kind)), "_type": "Value"}


def arrow_schema() -> pa.Schema:
    """The schema of every shard, with the metadata that makes `datasets` decode `image`."""
    features = {name: _feature(kind) for name, kind in _FIELDS.items()} | {
        "image": {"_type": "Image"}
    }
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    return pa.schema(list(_FIELDS.items()), metadata=metadata)


def to_row(sample: Sample) -> dict[str, Any]:
    """The row of `sample`. A picture kept as a file is read: the dataset is whole by itself.

    Raises DataError naming the sample for a file that cannot be read.
    """
    return {
        "id": sample.id,
        "image": {"bytes": _image_bytes(sample), "path": None},
        "size_hw": [int(side) for side in sample.size_hw],
        "caption": sample.caption,
        "regions": [_region_row(region) for region in sample.regions],
        "lineage": [{"step": l.step, "revision": l.revision} for l in sample.lineage],  # noqa: E741
    }


def _image_bytes(sample: Sample) -> bytes:
    if isinstance(sample.image, bytes):
        return sample.image
    try:
        return sample.image.read_bytes()
    except OSError as error:
        raise DataError(
            f"picture cannot be read ({error})", where=f"sample {sample.id!r}, image"
        ) from error


def _region_row(region: Region) -> dict[str, Any]:
    mask = region.mask
    return {
        "phrase": region.phrase,
        "label": region.label,
        "span": None if region.span is None else [int(end) for end in region.span],
        "box": [float(value) for value in region.box],
        "mask": None if mask is None else {"size": list(mask.size_hw), "counts": mask.counts},
        "score": float(region.score),
        "source": region.source,
    }


def from_row(row: dict[str, Any], *, where: str = "") -> Sample:
    """The checked Sample of a row. Raises DataError naming the sample's id and the field."""
    place = f"sample {row.get('id')!r}"
    place = f"{where}, {place}" if where else place
    for name in ("id", "image", "size_hw", "caption", "regions"):
        if row.get(name) is None:
            raise DataError("field is missing", where=f"{place}, {name}")
    image = row["image"].get("bytes")
    if not image:
        raise DataError(
            "no picture in the record", expected="encoded bytes", where=f"{place}, image"
        )
    regions = tuple(
        _region(region, where=f"{place}, regions[{index}]")
        for index, region in enumerate(row["regions"])
    )
    return Sample(
        id=row["id"],
        image=image,
        size_hw=_integers(row["size_hw"], where=f"{place}, size_hw"),
        caption=row["caption"],
        regions=regions,
        lineage=tuple(
            Lineage(step=entry["step"] or "", revision=entry["revision"] or "")
            for entry in row.get("lineage") or ()
        ),
    )


def _region(row: dict[str, Any] | None, *, where: str) -> Region:
    if row is None or row.get("phrase") is None or row.get("box") is None:
        raise DataError("region without its phrase or box", got=row, where=where)
    box = tuple(row["box"])
    if len(box) != 4 or any(value is None for value in box):
        raise DataError("not a box", expected="[x0, y0, x1, y1]", got=box, where=f"{where}.box")
    span, mask, score = row.get("span"), row.get("mask"), row.get("score")
    try:
        return Region(
            phrase=row["phrase"],
            label=row.get("label"),
            span=None if span is None else _integers(span, where=f"{where}.span"),
            box=box,
            mask=None if mask is None else _mask(mask, where=f"{where}.mask"),
            score=1.0 if score is None else score,
            source=row.get("source") or "",
        )
    except DataError as error:
        if error.where:
            raise
        placed = DataError(str(error), where=where)
        placed.what = error.what
        raise placed from error


def _mask(row: dict[str, Any], *, where: str) -> Rle:
    if row.get("size") is None or row.get("counts") is None:
        raise DataError("mask without its size or counts", where=where)
    return Rle(size_hw=_integers(row["size"], where=where), counts=row["counts"])


def _integers(values: list[int | None], *, where: str) -> tuple[int, int]:
    if len(values) != 2 or values[0] is None or values[1] is None:
        raise DataError("expected two integers", got=values, where=where)
    return values[0], values[1]


def row_digest(row: dict[str, Any], index: int) -> int:
    """256-bit number of a row's content and its place in the split.

    The sum of them modulo 2**256 names a split's content, however it is cut into shards.

    Raises DataError naming the sample whose strings cannot be written as UTF-8.
    """
    image = hashlib.sha256(row["image"]["bytes"]).hexdigest()
    content = {**row, "image": image, "index": index}
    text = json.dumps(content, sort_keys=True, ensure_ascii=False)
    try:
        encoded = text.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"not text ({error.reason})", where=f"sample {row['id']!r}") from error
    return int.from_bytes(hashlib.sha256(encoded).digest(), "big")
