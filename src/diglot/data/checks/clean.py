"""A cleaned copy of a dataset: bad records left out, bad parts of good ones too, each counted."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from diglot.core.errors import DataError
from diglot.core.progress import Progress, Report, ignore_progress
from diglot.core.types import Box
from diglot.data import shards
from diglot.data.checks.fault import Fault
from diglot.data.checks.regions import check_region
from diglot.data.checks.rows import list_parts, read_part
from diglot.data.rejected import Rejection, rejection_of
from diglot.data.schema import from_row
from diglot.data.writer import DatasetWriter

# Faults that a region survives without the part; after any other it goes as a whole.
_PARTS = {
    "span does not spell its phrase": "span",
    "mask of another size": "mask",
    "mask is corrupt": "mask",
}
_OUTSIDE = "box is outside the image"
_MIN_INSIDE = 0.5  # a box with less of itself in the image belongs to another one


def clean_dataset(
    folder: Path,
    split: str,
    out: Path,
    *,
    drop: Mapping[int, Sequence[Fault]],
    settings: Mapping[str, Any] | None = None,
    report: Report = ignore_progress,
) -> Counter[str]:
    """Write the records whose index is not in `drop` to `out`, repaired; what was done, counted.

    Args:
        folder: The dataset.
        split: Which split of it.
        out: A new folder, or one that a call with the same `settings` began.
        drop: The faults for which a record is left out, by its index.
        settings: What `drop` was chosen by: they stand in `dataset.json`.
        report: Takes the progress.

    What is left out is listed in its `rejected-SPLIT.jsonl`.
    Raises ConfigError where `out` holds another dataset.
    """
    counts: Counter[str] = Counter()
    parts = list_parts(shards.shard_paths(folder, split))
    total, index = sum(part.rows for part in parts), 0
    info = {"command": "check --fix", "source": str(folder), **(settings or {})}
    with DatasetWriter(out, split=split, info=info) as writer:
        reject = writer.open_rejected(anew=True).note
        for part in parts:
            for row in _read_part(part):
                if index in drop:
                    counts["records left out"] += 1
                    for fault in drop[index]:
                        reject(_rejection_for(row, index, fault))
                elif not writer.take_former(str(row.get("id"))):
                    _write_row(repair_row(row, counts), writer, counts, reject)
                index += 1
            report(Progress("cleaning", min(index, total), total))
    return counts


def _read_part(part: Any) -> list[dict[str, Any]]:
    """A part's rows; of one that cannot be read, none, which the check has reported."""
    try:
        return list(read_part(part))
    except DataError:
        return [{}] * part.rows


def _rejection_for(row: Mapping[str, Any], index: int, fault: Fault) -> Rejection:
    return Rejection(str(row.get("id") or f"record {index}"), fault.kind, fault.where, fault.detail)


def _write_row(
    row: dict[str, Any],
    writer: DatasetWriter,
    counts: Counter[str],
    reject: Callable[[Rejection], object],
) -> None:
    try:
        writer.add(from_row(row))
    except DataError as error:
        counts["records left out"] += 1
        reject(rejection_of(str(row.get("id")), error))


def repair_row(row: dict[str, Any], counts: Counter[str]) -> dict[str, Any]:
    """The row without its bad regions, spans and masks; boxes a little outside are clipped."""
    regions = []
    for region in row.get("regions") or ():
        repaired = _repair_region(dict(region or {}), row, counts)
        regions += [repaired] if repaired is not None else []
    return row | {"regions": regions}


def _repair_region(
    region: dict[str, Any], row: dict[str, Any], counts: Counter[str]
) -> dict[str, Any] | None:
    for fault in list(check_region(region, row, "")):
        if fault.kind in _PARTS:
            region[_PARTS[fault.kind]] = None
            counts[f"{_PARTS[fault.kind]}s removed: {fault.kind}"] += 1
        elif fault.kind == _OUTSIDE and _clip_box(
            region, row["sizes_hw"][region.get("image") or 0]
        ):
            counts["boxes clipped to the image"] += 1
        else:
            counts[f"regions removed: {fault.kind}"] += 1
            return None
    return region


def _clip_box(region: dict[str, Any], size_hw: list[int]) -> bool:
    """Cut the box to the image; False where less than half of it lies inside."""
    box: Box = region["box"]
    height, width = size_hw
    cut = [max(box[0], 0.0), max(box[1], 0.0), min(box[2], width), min(box[3], height)]
    inside = max(cut[2] - cut[0], 0.0) * max(cut[3] - cut[1], 0.0)
    region["box"] = cut
    return inside >= _MIN_INSIDE * (box[2] - box[0]) * (box[3] - box[1])
