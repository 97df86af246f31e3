"""Faults of a record's regions: boxes, spans, masks, scores."""

import math
from collections.abc import Iterator
from typing import Any

from diglot.core import masks
from diglot.core.errors import DataError
from diglot.core.types import BOX_SLACK_PX, Rle
from diglot.data.checks.fault import Fault
from diglot.data.segmentation import mask_box

# A box of pixels this small in the corner is a share of the sides that was never multiplied.
_NORMALISED = 1.5


def check_regions(row: dict[str, Any]) -> list[Fault]:
    """Every fault of every region, of `row` as it is stored."""
    faults: list[Fault] = []
    for number, region in enumerate(row.get("regions") or ()):
        faults += check_region(region or {}, row, f"regions[{number}]")
    return faults


def check_region(region: dict[str, Any], row: dict[str, Any], where: str) -> Iterator[Fault]:
    """The faults of one region."""
    if not (region.get("phrase") or "").strip():
        yield Fault("phrase is empty", f"{where}.phrase")
    sizes, number = row.get("sizes_hw") or [], region.get("image") or 0
    size = sizes[number] if 0 <= number < len(sizes) else None
    if not size or len(size) != 2 or None in size:
        yield Fault("region of an image that is not there", f"{where}.image", str(number))
        return
    mask, fault = _read_mask(region.get("mask"), size, where)
    yield from [fault] if fault else []
    fault = _check_box(region.get("box"), size, mask, where)
    yield from [fault] if fault else []
    yield from _check_span(region, row, where)
    score = region.get("score")
    if score is not None and not 0.0 <= score <= 1.0:
        yield Fault("score is not in [0, 1]", f"{where}.score", str(score))


def _read_mask(raw: Any, size: list[int], where: str) -> tuple[Rle | None, Fault | None]:
    """The mask if it is usable, and its fault if not."""
    if raw is None:
        return None, None
    mask_size, counts = raw.get("size"), raw.get("counts")
    if mask_size != size:
        return None, Fault("mask of another size", f"{where}.mask", f"{mask_size}, image {size}")
    try:
        mask = Rle(size_hw=(size[0], size[1]), counts=counts)
        masks.check_mask(mask)
    except DataError as error:
        return None, Fault("mask is corrupt", f"{where}.mask", str(error))
    return mask, None


def _check_box(box: Any, size: list[int], mask: Rle | None, where: str) -> Fault | None:
    """The first fault of a box: each of them hides the next."""
    where = f"{where}.box"
    if box is None or len(box) != 4 or None in box:
        return Fault("box is missing", where, str(box))
    if not all(map(math.isfinite, box)):
        return Fault("box is not finite", where, str(box))
    height, width = size
    x0, y0, x1, y1 = box
    if min(box) >= 0 and max(box) <= _NORMALISED and max(size) > 4:
        return Fault("box looks normalised", where, str(box))
    as_xywh = x0 + x1 <= width + BOX_SLACK_PX and y0 + y1 <= height + BOX_SLACK_PX and x1 > 0 < y1
    if x0 >= x1 or y0 >= y1:
        turned = (x0 > x1 or y0 > y1) and as_xywh and min(box) >= 0
        kind = "box looks like xywh" if turned else "box is empty"
        return Fault(kind, where, str(box))
    if mask is not None and as_xywh and _fits_as_xywh(box, mask):
        return Fault("box looks like xywh", where, f"{box}, mask {list(mask_box(mask))}")
    if min(x0, y0) < -BOX_SLACK_PX or x1 > width + BOX_SLACK_PX or y1 > height + BOX_SLACK_PX:
        return Fault("box is outside the image", where, f"{box}, image {size} (height, width)")
    return None


def _fits_as_xywh(box: list[float], mask: Rle) -> bool:
    """Whether the mask's bounds are the box read as xywh, and not as xyxy."""
    if not masks.mask_area(mask):
        return False
    true = mask_box(mask)
    x, y, width, height = box
    off = max(abs(a - b) for a, b in zip((x, y, x + width, y + height), true, strict=True))
    return off <= 2.0 and max(abs(a - b) for a, b in zip(box, true, strict=True)) > 2.0


def _check_span(region: dict[str, Any], row: dict[str, Any], where: str) -> Iterator[Fault]:
    span, turn = region.get("span"), region.get("turn")
    if span is None:
        return
    turns = row.get("turns") or []
    text = row.get("caption") or ""
    if turn is not None:
        text = (turns[turn] or {}).get("text") or "" if 0 <= turn < len(turns) else ""
    whole = len(span) == 2 and None not in span
    if not whole or not 0 <= span[0] < span[1] or text[span[0] : span[1]] != region.get("phrase"):
        found = text[span[0] : span[1]] if whole else None
        detail = f"{span} is {found!r}, phrase {region.get('phrase')!r}"
        yield Fault("span does not spell its phrase", f"{where}.span", detail)
