"""The parts of a sample other than its pictures as JSON of our own, and back."""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from diglot.core.types import Lineage, Region, Sample, Turn
from diglot.data.raw_record import RawRegion
from diglot.data.schema import LINEAGE_FIELDS
from diglot.data.segmentation import rle_json
from diglot.files import replace_file


def record_fields(sample: Sample) -> dict[str, Any]:
    """Caption, turns, regions, sizes and lineage of a sample, ready for JSON."""
    return {
        "sizes_hw": [list(size) for size in sample.sizes_hw],
        "caption": sample.caption,
        "turns": [{"role": t.role, "text": t.text, "learn": t.learn} for t in sample.turns],
        "regions": [_region_fields(region) for region in sample.regions],
        "lineage": [{name: getattr(m, name) for name in LINEAGE_FIELDS} for m in sample.lineage],
    }


def read_record_fields(record: dict[str, Any]) -> dict[str, Any]:
    """The arguments of `RawRecord` that `record_fields` wrote; missing ones are empty.

    The "size_hw" of older files, which had one image, is read too.
    """
    sizes = record.get("sizes_hw") or [record.get("size_hw")]
    return {
        "sizes_hw": tuple(None if size is None else (int(size[0]), int(size[1])) for size in sizes),
        "caption": record.get("caption") or "",
        "turns": tuple(_read_turn(turn) for turn in record.get("turns") or ()),
        "regions": tuple(_read_region(region) for region in record.get("regions") or ()),
        "lineage": tuple(
            Lineage(**{name: made.get(name) or "" for name in LINEAGE_FIELDS})
            for made in record.get("lineage") or ()
        ),
    }


def _read_turn(turn: dict[str, Any]) -> Turn:
    return Turn(role=turn["role"], text=turn["text"], learn=turn.get("learn", False))


def _region_fields(region: Region) -> dict[str, Any]:
    return {
        "phrase": region.phrase,
        "label": region.label,
        "span": None if region.span is None else list(region.span),
        "box": list(region.box),
        "mask": None if region.mask is None else rle_json(region.mask),
        "score": region.score,
        "source": region.source,
        "image": region.image,
        "turn": region.turn,
    }


def _read_region(region: dict[str, Any]) -> RawRegion:
    span, score = region.get("span"), region.get("score")
    return RawRegion(
        phrase=region["phrase"],
        label=region.get("label"),
        box=region.get("box"),
        span=None if span is None else (int(span[0]), int(span[1])),
        mask=region.get("mask"),
        score=None if score is None else float(score),
        source=region.get("source") or "",
        image=region.get("image") or 0,
        turn=region.get("turn"),
    )


class LinesFile:
    """A JSONL file that appears whole when the block ends well. Use as a context manager."""

    def __init__(self, path: Path) -> None:
        self._path, self._open = path, ExitStack()

    def __enter__(self) -> "LinesFile":
        temporary = self._open.enter_context(replace_file(self._path))
        self._file = self._open.enter_context(open(temporary, "w", encoding="utf-8"))
        return self

    def __exit__(self, *error: Any) -> None:
        self._open.__exit__(*error)

    def add(self, value: Any) -> None:
        """Append a line."""
        self._file.write(json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n")
