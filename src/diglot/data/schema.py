"""A Sample as one row of Parquet, with the features that Hugging Face `datasets` reads from it.

Captioned images and conversations share the columns: the one has a caption and no turns, the other
turns and no caption. Format 1 knew captioned images alone, in the columns `image` and `size_hw`.
"""

import hashlib
import json
from typing import Any

import pyarrow as pa

from diglot.core.errors import DataError, locate_errors
from diglot.core.types import Lineage, Picture, Region, Rle, Sample, Turn
from diglot.data.mended_regions import mend_regions
from diglot.data.stored_rows import UnreadableRow

FORMAT_VERSION = 2
# What a dataset of others need not have. Format 1's shards have none of format 2's columns.
OPTIONAL_COLUMNS = {"caption", "turns", "regions", "lineage"}

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
        "image": pa.int32(),
        "turn": pa.int32(),
    }
)
_TURN = pa.struct({"role": pa.string(), "text": pa.string(), "learn": pa.bool_()})
LINEAGE_FIELDS = ("step", "model", "revision", "prompt")
_LINEAGE = pa.struct(dict.fromkeys(LINEAGE_FIELDS, pa.string()))
_IMAGE = pa.struct({"bytes": pa.binary(), "path": pa.string()})
_FIELDS = {
    "id": pa.string(),
    "images": pa.list_(_IMAGE),
    "sizes_hw": pa.list_(pa.list_(pa.int32())),
    "caption": pa.string(),
    "turns": pa.list_(_TURN),
    "regions": pa.list_(_REGION),
    "lineage": pa.list_(_LINEAGE),
}
# Format 1's own columns, in place of `images` and `sizes_hw`.
OLDER_FIELDS = {"image": _IMAGE, "size_hw": pa.list_(pa.int32())}


def _hf_feature(kind: pa.DataType) -> Any:
    if pa.types.is_list(kind):
        return {"feature": _hf_feature(kind.value_type), "_type": "List"}
    if pa.types.is_struct(kind):
        return {field.name: _hf_feature(field.type) for field in kind}
    return {"dtype": {"double": "float64"}.get(str(kind), str(kind)), "_type": "Value"}


def arrow_schema() -> pa.Schema:
    """The schema of every shard, with the metadata that makes `datasets` decode `images`."""
    features = {name: _hf_feature(kind) for name, kind in _FIELDS.items()} | {
        "images": {"feature": {"_type": "Image"}, "_type": "List"}
    }
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    return pa.schema(list(_FIELDS.items()), metadata=metadata)


def to_row(sample: Sample) -> dict[str, Any]:
    """The row of `sample`. A picture kept as a file is read: the dataset is whole by itself.

    Raises DataError naming the sample for a file that cannot be read.
    """
    return {
        "id": sample.id,
        "images": [
            {"bytes": _image_bytes(image, where=f"sample {sample.id!r}, images[{n}]"), "path": None}
            for n, image in enumerate(sample.images)
        ],
        "sizes_hw": [[int(side) for side in size] for size in sample.sizes_hw],
        "caption": None if sample.is_conversation else sample.caption,
        "turns": [{"role": t.role, "text": t.text, "learn": t.learn} for t in sample.turns],
        "regions": [_region_row(region) for region in sample.regions],
        "lineage": [
            {name: getattr(made, name) for name in LINEAGE_FIELDS} for made in sample.lineage
        ],
    }


def _image_bytes(image: Picture, *, where: str) -> bytes:
    if isinstance(image, bytes):
        return image
    try:
        return image.read_bytes()
    except OSError as error:
        raise DataError("picture cannot be read", got=str(error), where=where) from error


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
        "image": region.image,
        "turn": region.turn,
    }


def from_row(row: dict[str, Any], *, where: str = "") -> Sample:
    """The checked Sample of a row of either format; what is missing or null is none.

    A region without area is left out, a box a little outside is clipped: `Sample.lost` says so.
    Raises DataError naming the sample's id and the field.
    """
    place = f"sample {row.get('id')!r}"
    place = f"{where}, {place}" if where else place
    if isinstance(row, UnreadableRow):
        raise row.error(place)
    if "images" not in row:
        row = _from_format_1(row)
    turns = row.get("turns") or ()
    for name in ("id", "images", "sizes_hw", *(() if turns else ("caption",))):
        if row.get(name) is None:
            raise DataError("field is missing", where=f"{place}, {name}")
    sizes_hw = tuple(
        _read_integers(size, where=f"{place}, sizes_hw[{n}]")
        for n, size in enumerate(row["sizes_hw"])
    )
    lost: list[str] = []
    regions = mend_regions(row.get("regions") or (), sizes_hw, lost)
    return Sample(
        id=row["id"],
        images=tuple(
            _read_picture(image, where=f"{place}, images[{n}]")
            for n, image in enumerate(row["images"])
        ),
        sizes_hw=sizes_hw,
        caption=row.get("caption") or "",
        turns=tuple(_read_turn(turn, where=f"{place}, turns[{n}]") for n, turn in enumerate(turns)),
        regions=tuple(
            _read_region(region, where=f"{place}, regions[{n}]") for n, region in regions
        ),
        lineage=tuple(
            Lineage(**{name: entry.get(name) or "" for name in LINEAGE_FIELDS})
            for entry in row.get("lineage") or ()
        ),
        lost=tuple(lost),
    )


def _from_format_1(row: dict[str, Any]) -> dict[str, Any]:
    image, size_hw = row.get("image"), row.get("size_hw")
    return row | {
        "images": None if image is None else [image],
        "sizes_hw": None if size_hw is None else [size_hw],
    }


def _read_picture(row: dict[str, Any] | None, *, where: str) -> bytes:
    content = (row or {}).get("bytes")
    if not content:
        raise DataError("no picture in the record", expected="encoded bytes", where=where)
    return content


def _read_turn(row: dict[str, Any] | None, *, where: str) -> Turn:
    if row is None or row.get("role") is None or row.get("text") is None:
        raise DataError("turn without its role or text", got=row, where=where)
    with locate_errors(where):
        return Turn(role=row["role"], text=row["text"], learn=bool(row.get("learn")))


def _read_region(row: dict[str, Any] | None, *, where: str) -> Region:
    if row is None or row.get("phrase") is None or row.get("box") is None:
        raise DataError("region without its phrase or box", got=row, where=where)
    span, mask, score = row.get("span"), row.get("mask"), row.get("score")
    with locate_errors(where):
        return Region(
            phrase=row["phrase"],
            label=row.get("label"),
            span=None if span is None else _read_integers(span, where="span"),
            box=tuple(row["box"]),
            mask=None if mask is None else _read_mask(mask, where="mask"),
            score=1.0 if score is None else score,
            source=row.get("source") or "",
            image=row.get("image") or 0,
            turn=row.get("turn"),
        )


def _read_mask(row: dict[str, Any], *, where: str) -> Rle:
    if row.get("size") is None or row.get("counts") is None:
        raise DataError("mask without its size or counts", where=where)
    return Rle(size_hw=_read_integers(row["size"], where=where), counts=row["counts"])


def _read_integers(values: list[int | None] | None, *, where: str) -> tuple[int, int]:
    if values is None or len(values) != 2 or values[0] is None or values[1] is None:
        raise DataError("expected two integers", got=values, where=where)
    return values[0], values[1]


def row_digest(row: dict[str, Any], index: int) -> int:
    """256-bit number of a row's content and its place in the split.

    The sum of them modulo 2**256 names a split's content, however it is cut into shards.

    Raises DataError naming the sample whose strings cannot be written as UTF-8.
    """
    images = [hashlib.sha256(image["bytes"]).hexdigest() for image in row["images"]]
    encoded = _encode_content({**row, "images": images, "index": index})
    return int.from_bytes(hashlib.sha256(encoded).digest(), "big")


def check_text(row: dict[str, Any]) -> dict[str, Any]:
    """The row. Raises DataError naming the sample whose strings cannot be written as UTF-8."""
    _encode_content({**row, "images": []})
    return row


def _encode_content(content: dict[str, Any]) -> bytes:
    try:
        return json.dumps(content, sort_keys=True, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise DataError(f"not text ({error.reason})", where=f"sample {content['id']!r}") from error
