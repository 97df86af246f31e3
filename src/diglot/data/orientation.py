"""EXIF orientation of foreign pictures: do boxes count on the stored pixels or the upright ones?

The size that the foreign file gives decides it. Where it cannot (a square picture, a mirrored one,
no size at all) and there are boxes, the record is refused.
"""

from pathlib import Path

import numpy as np

from diglot.core import masks
from diglot.core.errors import DataError
from diglot.core.types import Box, Rle, SizeHW
from diglot.data.images import stored_layout

UPRIGHT = 1


def find_orientation(image: bytes | Path, size_hw: SizeHW | None, *, where: str) -> int:
    """The EXIF orientation to undo in boxes and masks; 1 where they are upright already.

    `size_hw` is what the foreign file says. Raises DataError where it is not the picture's, or it
    leaves open on which pixels the boxes are.
    """
    orientation, stored_hw = stored_layout(image, where=where)
    turned = orientation >= 5
    upright_hw = stored_hw[::-1] if turned else stored_hw
    if size_hw is not None and tuple(size_hw) not in (stored_hw, upright_hw):
        raise DataError(
            "the file gives another size than the picture has",
            expected=f"{upright_hw} (height, width)",
            got=tuple(size_hw),
            where=where,
        )
    if orientation == UPRIGHT:
        return UPRIGHT
    if size_hw is None or stored_hw == upright_hw:
        raise DataError(
            "orientation of the boxes is unknown",
            expected="a size in the file that distinguishes turned pixels from upright ones",
            got=f"EXIF orientation {orientation}, size {size_hw}",
            where=where,
            fix="Store the picture upright, without the EXIF tag.",
        )
    return orientation if tuple(size_hw) == stored_hw else UPRIGHT


def turn_box(box: Box, stored_hw: SizeHW, orientation: int) -> Box:
    """A box on stored pixels as a box on the upright picture; orientations 1 and 5 to 8."""
    height, width = stored_hw
    x0, y0, x1, y1 = box
    return {
        1: (x0, y0, x1, y1),
        5: (y0, x0, y1, x1),
        6: (height - y1, x0, height - y0, x1),
        7: (height - y1, width - x1, height - y0, width - x0),
        8: (y0, width - x1, y1, width - x0),
    }[orientation]


def turn_mask(mask: Rle, orientation: int) -> Rle:
    """A mask on stored pixels as a mask on the upright picture; orientations 1 and 5 to 8."""
    if orientation == UPRIGHT:
        return mask
    stored_HW = masks.decode_mask(mask)
    upright_HW = {
        5: lambda: stored_HW.T,
        6: lambda: np.rot90(stored_HW, -1),
        7: lambda: np.rot90(stored_HW, 2).T,
        8: lambda: np.rot90(stored_HW, 1),
    }[orientation]()
    return masks.encode_mask(np.ascontiguousarray(upright_HW))
