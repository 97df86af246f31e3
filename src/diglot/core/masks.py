"""Binary masks as COCO's compressed run-length encoding, checked before anything is allocated.

Encoding and decoding are pycocotools'; what is ours is the check, since pycocotools trusts its
input: it writes past its buffer, or leaves it half filled, where the runs do not fill the image.
Format: the string form in cocoapi's `maskApi.c` (5 bits a character, every run from the third on
stored as the difference to the run two before it).
"""

from typing import Any

import numpy as np
from pycocotools import mask as coco

from diglot.core.errors import DataError
from diglot.core.types import Rle

MAX_PIXELS = 64_000_000
_FIRST_CHAR, _LAST_CHAR = 48, 111  # each character carries 6 bits over "0"


def encode_mask(mask: np.ndarray) -> Rle:
    """Run-length encoding of `mask`, bool of shape (height, width), both at least 1.

    Raises DataError for another shape or dtype.
    """
    if mask.ndim != 2 or mask.dtype != np.bool_ or mask.size == 0:
        raise DataError(
            "not a mask", expected="bool (height, width)", got=f"{mask.dtype} {mask.shape}"
        )
    encoded: Any = coco.encode(np.asfortranarray(mask.view(np.uint8)))
    return Rle(size_hw=(mask.shape[0], mask.shape[1]), counts=encoded["counts"].decode("ascii"))


def decode_mask(rle: Rle, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """The mask as a bool array (height, width).

    Raises DataError where the runs are no encoding of a mask of that size, or it has more than
    `max_pixels` pixels.
    """
    check_mask(rle, max_pixels=max_pixels)
    return coco.decode(_as_coco(rle)).astype(bool)


def mask_area(rle: Rle, *, max_pixels: int = MAX_PIXELS) -> int:
    """How many pixels of the mask are set. Raises DataError as `decode` does."""
    check_mask(rle, max_pixels=max_pixels)
    return int(coco.area(_as_coco(rle)))


def check_mask(rle: Rle, *, max_pixels: int = MAX_PIXELS) -> None:
    """Raises DataError unless the runs of `rle` fill its size exactly."""
    height, width = rle.size_hw
    if height < 1 or width < 1 or height * width > max_pixels:
        raise DataError(
            "mask size is not usable", expected=f"1 to {max_pixels} pixels", got=rle.size_hw
        )
    total = sum(_read_runs(rle.counts, limit=height * width))
    if total != height * width:
        raise DataError(
            "mask runs do not fill the mask",
            expected=f"{height * width} pixels for size {rle.size_hw}",
            got=total,
        )


def _as_coco(rle: Rle) -> Any:
    return {"size": list(rle.size_hw), "counts": rle.counts.encode("ascii")}


def _read_runs(counts: str, *, limit: int) -> list[int]:
    """Run lengths in `counts`, each within [0, limit]. Raises DataError for anything else."""
    runs: list[int] = []
    value = shift = 0
    for char in counts:
        code = ord(char)
        if not _FIRST_CHAR <= code <= _LAST_CHAR or shift > 30:
            raise _corrupt_mask_error(repr(char))
        code -= _FIRST_CHAR
        value |= (code & 31) << shift
        shift += 5
        if code & 32:
            continue
        if code & 16:
            value -= 1 << shift
        if len(runs) > 2:
            value += runs[-2]
        if not 0 <= value <= limit:
            raise _corrupt_mask_error(f"a run of {value} pixels")
        runs.append(value)
        value = shift = 0
    if shift:
        raise _corrupt_mask_error("a string that ends within a run")
    return runs


def _corrupt_mask_error(got: str) -> DataError:
    return DataError("mask runs are corrupt", expected="COCO's compressed RLE string", got=got)
