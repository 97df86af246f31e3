"""A foreign record before it is checked, and the one way from it to a Sample.

Here boxes of any unit become xyxy pixels of the upright picture, boxes a little outside are
clipped, regions without area are dropped and counted, and segmentations become RLE.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from diglot.core import masks
from diglot.core.errors import DataError
from diglot.core.region import clip_box, is_nearly_inside
from diglot.core.types import Box, Lineage, Picture, Region, Rle, Sample, SizeHW, Span, Turn
from diglot.data.images import image_size
from diglot.data.mended_regions import CLIPPED, WITHOUT_AREA
from diglot.data.orientation import find_orientation, turn_box, turn_mask
from diglot.data.segmentation import mask_box, read_mask

BoxUnit = Literal["xyxy", "xywh", "normalised"]
"""Pixels [x0, y0, x1, y1]; pixels [x, y, width, height]; [x0, y0, x1, y1] as shares of the sides"""


@dataclass(frozen=True, kw_only=True)
class RawRegion:
    """A region as a foreign file gives it. Without a box, the mask's bounds are its box."""

    phrase: str
    box: Sequence[float] | None = None
    span: Span | None = None
    label: str | None = None
    mask: Any = None
    """COCO's segmentation: polygons, or RLE compressed or not."""
    score: float | None = None
    """In 0 to 1; None, where the file gives none, counts as 1."""
    source: str = ""
    image: int = 0
    turn: int | None = None


@dataclass(frozen=True, kw_only=True)
class RawRecord:
    """A record as a foreign file gives it."""

    id: str
    images: tuple[Picture, ...] = ()
    sizes_hw: tuple[SizeHW | None, ...] = ()
    """Height and width that the file gives for each image, of whichever orientation; may be less
    than the images, or None, where it gives none."""
    caption: str = ""
    turns: tuple[Turn, ...] = ()
    regions: tuple[RawRegion, ...] = ()
    lineage: tuple[Lineage, ...] = ()


def make_sample(record: RawRecord, unit: BoxUnit, lost: Counter[str]) -> Sample:
    """The checked Sample of a record; what had to be left out is counted in `lost` by its kind.

    Raises DataError for a record without a usable image, or whose boxes are of another unit.
    """
    where = f"record {record.id!r}"
    sizes_hw = tuple(
        image_size(image, where=f"{where}, images[{n}]") for n, image in enumerate(record.images)
    )
    regions: list[Region | None] = []
    for number, image in enumerate(record.images):
        raw = [region for region in record.regions if region.image == number]
        if raw:
            size_hw = (*record.sizes_hw, *[None] * len(record.images))[number]
            orientation = find_orientation(image, size_hw, where=where)
            height, width = sizes_hw[number]
            stored_hw = (width, height) if orientation >= 5 else (height, width)
            regions += [_make_region(r, stored_hw, orientation, unit, lost) for r in raw]
    return Sample(
        id=record.id,
        images=record.images,
        sizes_hw=sizes_hw,
        caption=record.caption,
        turns=record.turns,
        regions=tuple(region for region in regions if region is not None),
        lineage=record.lineage,
    )


def _make_region(
    raw: RawRegion, raw_hw: SizeHW, orientation: int, unit: BoxUnit, lost: Counter[str]
) -> Region | None:
    mask = _usable_mask(raw.mask, raw_hw, lost)
    box = _to_xyxy(raw.box, raw_hw, unit) if raw.box is not None else None
    if box is not None and mask is not None:
        _check_unit(raw.box, box, mask_box(mask), unit)
    if box is None and mask is not None:
        box = mask_box(mask)
    box = _clip_box(box, raw_hw, lost)
    score = 1.0 if raw.score is None else raw.score
    if box is None or not raw.phrase.strip():
        lost["regions without a phrase"] += box is not None
        return None
    if not 0.0 <= score <= 1.0:
        lost["regions whose score is not in 0 to 1"] += 1
        return None
    return Region(
        phrase=raw.phrase,
        box=turn_box(box, raw_hw, orientation),
        span=raw.span,
        label=raw.label,
        mask=None if mask is None else turn_mask(mask, orientation),
        score=score,
        source=raw.source,
        image=raw.image,
        turn=raw.turn,
    )


def _usable_mask(raw: Any, size_hw: SizeHW, lost: Counter[str]) -> Rle | None:
    if raw is None or (isinstance(raw, list) and not raw):
        return None
    try:
        mask = read_mask(raw, size_hw)
    except DataError as error:
        lost[f"masks left out: {error.what}"] += 1
        return None
    if not masks.mask_area(mask):
        lost["masks left out: no pixel is set"] += 1
        return None
    return mask


def _to_xyxy(raw: Sequence[float], size_hw: SizeHW, unit: BoxUnit) -> Box:
    """The box in pixels. Raises DataError where it is not four finite numbers of that unit."""
    values = [float(value) for value in raw]
    if len(values) != 4 or not all(map(math.isfinite, values)):
        raise DataError("not a box", expected="four finite numbers", got=list(raw))
    height, width = size_hw
    x, y, right, bottom = values
    if unit == "xywh":
        return x, y, x + right, y + bottom
    if unit == "xyxy":
        return x, y, right, bottom
    if max(values) > 2.0:
        raise DataError("box looks like pixels", expected="shares of the sides, 0 to 1", got=values)
    return x * width, y * height, right * width, bottom * height


def _check_unit(raw: Any, box: Box, true: Box, unit: BoxUnit) -> None:
    """Refuse a box that fits its own mask only if read in another unit."""
    others: dict[str, Box] = {
        "xyxy": (raw[0], raw[1], raw[2], raw[3]),
        "xywh": (raw[0], raw[1], raw[0] + raw[2], raw[1] + raw[3]),
    }
    for name, other in others.items():
        if name != unit and _box_iou(other, true) > 0.9 and _box_iou(box, true) < 0.75:
            raise DataError(f"box looks like {name}", expected=unit, got=list(raw))


def _box_iou(one: Box, other: Box) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    inside = max(width, 0.0) * max(height, 0.0)
    areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in (one, other)]
    return inside / (sum(areas) - inside) if inside else 0.0


def _clip_box(box: Box | None, size_hw: SizeHW, lost: Counter[str]) -> Box | None:
    """The part of the box inside the image, or None (counted) where there is none to speak of."""
    if box is None:
        lost["regions without a box"] += 1
        return None
    if box[0] >= box[2] or box[1] >= box[3]:
        lost[WITHOUT_AREA] += 1
        return None
    clipped = clip_box(box, size_hw)
    inside = clipped[0] < clipped[2] and clipped[1] < clipped[3]
    if not inside or not is_nearly_inside(box, size_hw):
        lost["regions outside the image"] += 1
        return None
    lost[CLIPPED] += clipped != box
    return clipped
