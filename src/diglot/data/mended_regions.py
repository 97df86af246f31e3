"""Regions of a stored record whose box alone is at fault: clipped, or left out, and noted.

Annotators round, and some write a box of one line; neither costs the record. A box further outside
its image, or one that is inside out, is of another unit or another image: the record's checks name
it.
"""

import math
from collections.abc import Sequence
from typing import Any

from diglot.core.region import Box, SizeHW, clip_box, is_inside_image, is_nearly_inside
from diglot.core.types import BOX_SLACK_PX

# What is noted, the same words wherever regions are read.
WITHOUT_AREA, CLIPPED = "regions without area", "boxes clipped to the image"


def mend_regions(
    rows: Sequence[Any], sizes_hw: Sequence[SizeHW], lost: list[str]
) -> list[tuple[int, Any]]:
    """(number, row) of the regions that stay, boxes clipped; `lost` gets what was done."""
    mended = []
    for number, row in enumerate(rows):
        box, size_hw = _read_box(row), _size_of(row, sizes_hw)
        if box is None or size_hw is None:
            mended.append((number, row))  # whatever is wrong here, the checks name it
            continue
        is_inside = is_inside_image(box, size_hw, slack_px=(BOX_SLACK_PX, BOX_SLACK_PX))
        sticks_out = not is_inside and is_nearly_inside(box, size_hw)
        usable = clip_box(box, size_hw) if sticks_out else box
        if _is_flat(usable):
            lost.append(WITHOUT_AREA)
            continue
        lost += [CLIPPED] if sticks_out else []
        mended.append((number, row | {"box": list(usable)}))
    return mended


def _read_box(row: Any) -> Box | None:
    """The box if it is four finite numbers."""
    box = (row or {}).get("box")
    if box is None or len(box) != 4 or None in box or not all(map(math.isfinite, box)):
        return None
    return tuple(box)


def _size_of(row: Any, sizes_hw: Sequence[SizeHW]) -> SizeHW | None:
    number = row.get("image") or 0 if row else 0
    return sizes_hw[number] if 0 <= number < len(sizes_hw) else None


def _is_flat(box: Box) -> bool:
    """A box of one line or one point; one that is inside out is not."""
    x0, y0, x1, y1 = box
    return x0 <= x1 and y0 <= y1 and (x0 == x1 or y0 == y1)
