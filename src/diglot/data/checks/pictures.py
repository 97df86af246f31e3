"""Faults of a record's pictures, and their perceptual hashes."""

from typing import Any

import imagehash
import numpy as np
from PIL import Image

from diglot.core.errors import DataError
from diglot.data.checks.fault import Fault
from diglot.data.images import decode_image

# How the reader's messages begin, and the kind of fault they are.
_KINDS = {
    "picture is too large": "image is too large to decode",
    "not a picture": "image is no picture",
}


def check_pictures(row: dict[str, Any], *, max_pixels: int) -> tuple[list[Fault], list[int]]:
    """Faults of all pictures, every one decoded, and the 64-bit hash of each good one."""
    images, sizes = row.get("images"), row.get("sizes_hw") or []
    if images is None:
        return [Fault("image is missing", "images")], []
    faults: list[Fault] = []
    hashes: list[int] = []
    for number, image in enumerate(images):
        data = (image or {}).get("bytes")
        size = sizes[number] if number < len(sizes) else None
        found = _check_picture(data, size, f"images[{number}]", max_pixels)
        faults += [found] if isinstance(found, Fault) else []
        hashes += [found] if isinstance(found, int) else []
    return faults, hashes


def _check_picture(data: Any, size: Any, where: str, max_pixels: int) -> Fault | int:
    if not data:
        return Fault("image is missing", where)
    try:
        picture = decode_image(data, max_pixels=max_pixels)
    except DataError as error:
        kinds = (kind for start, kind in _KINDS.items() if error.what.startswith(start))
        kind = next(kinds, "image is truncated" if _is_cut(error) else "image cannot be read")
        return Fault(kind, where, str(error))
    if size is None or list(size) != [picture.height, picture.width]:
        detail = f"record {size}, image {[picture.height, picture.width]} (height, width)"
        return Fault("size is not the image's", where, detail)
    return hash_picture(picture)


def _is_cut(error: DataError) -> bool:
    return any(word in str(error).lower() for word in ("truncated", "unexpected end", "incomplete"))


def hash_picture(picture: Image.Image) -> int:
    """Its 64-bit perceptual hash (pHash of the ImageHash package)."""
    bits = imagehash.phash(picture).hash.ravel()
    return int.from_bytes(np.packbits(bits).tobytes(), "big")
