"""The parts of a sample other than its pictures as JSON of our own, and back."""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from diglot.core.types import Lineage, Region, Sample
from diglot.data.raw_record import RawRegion
from diglot.data.segmentation import rle_json
from diglot.files import replacing


def record_fields(sample: Sample) -> dict[str, Any]:
    """Caption, regions, sizes and lineage of a sample, ready for JSON."""
    return {
        "size_hw": list(sample.size_hw),
        "caption": sample.caption,
        "regions": [_region_fields(region) for region in sample.regions],
        "lineage": [{"step": m.step, "revision": m.revision} for m in sample.lineage],
    }


def read_record_fields(record: dict[str, Any]) -> dict[str, Any]:
    """The arguments of `RawRecord` that `record_fields` wrote; missing ones are empty."""
    size = record.get("size_hw")
    return {
        "size_hw": None if size is None else (int(size[0]), int(size[1])),
        "caption": record.get("caption") or "",
        "regions": tuple(_read_region(region) for region in record.get("regions") or ()),
        "lineage": tuple(
            Lineage(step=made["step"], revision=made.get("revision") or "")
            for made in record.get("lineage") or ()
        ),
    }


def _region_fields(region: Region) -> dict[str, Any]:
    return {
        "phrase": region.phrase,
        "label": region.label,
        "span": None if region.span is None else list(region.span),
        "box": list(region.box),
        "mask": None if region.mask is None else rle_json(region.mask),
        "score": region.score,
        "source": region.source,
    }


def _read_region(region: dict[str, Any]) -> RawRegion:
    span, score = region.get("span"), region.get("score")
    return RawRegion(
        phrase=region["phrase"],
        label=region.get("label"),
        box=region.get("box"),
        span=None if span is None else (int(span[0]), int(span[1])),
        mask=region.get("mask"),
        score=1.0 if score is None else float(score),
        source=region.get("source") or "",
    )


class LinesFile:
    """A JSONL file that appears whole when the block ends well. Use as a context manager."""

    def __init__(self, path: Path) -> None:
        self._path, self._open = path, ExitStack()

    def __enter__(self) -> "LinesFile":
        temporary = self._open.enter_context(replacing(self._path))
        self._file = self._open.enter_context(open(temporary, "w", encoding="utf-8"))
        return self

    def __exit__(self, *error: Any) -> None:
        self._open.__exit__(*error)

    def add(self, value: Any) -> None:
        """Append a line."""
        self._file.write(json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n")
