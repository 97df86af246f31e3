"""COCO's three ways of giving a mask (polygons, RLE as numbers, RLE compressed), read with care.

pycocotools trusts what it is given, so everything is checked before it is called.
"""

import math
from typing import Any

import numpy as np
from pycocotools import mask as coco

from diglot.core import masks
from diglot.core.errors import DataError
from diglot.core.types import Box, Rle, SizeHW


def read_mask(raw: Any, size_hw: SizeHW) -> Rle:
    """The mask of a COCO segmentation on an image of `size_hw`.

    Raises DataError for one that is malformed, or of another size.
    """
    if isinstance(raw, dict):
        return _read_rle(raw, size_hw)
    if isinstance(raw, list):
        return _draw_polygons(raw, size_hw)
    raise DataError("not a segmentation", expected="polygons or RLE", got=type(raw).__name__)


def mask_box(mask: Rle) -> Box:
    """xyxy bounds of a mask that has at least one pixel."""
    plain: Any = {"size": list(mask.size_hw), "counts": mask.counts.encode("ascii")}
    x, y, width, height = (float(value) for value in coco.toBbox(plain))
    return x, y, x + width, y + height


def rle_json(mask: Rle) -> dict[str, Any]:
    """A mask as COCO's compressed RLE, ready for JSON."""
    return {"size": list(mask.size_hw), "counts": mask.counts}


def _read_rle(raw: dict[str, Any], size_hw: SizeHW) -> Rle:
    size, counts = raw.get("size"), raw.get("counts")
    if not isinstance(size, list | tuple) or tuple(size) != tuple(size_hw):
        raise DataError("mask of another size", expected=list(size_hw), got=size)
    if isinstance(counts, list):
        return _encode_runs(counts, size_hw)
    if isinstance(counts, bytes):
        counts = counts.decode("ascii", "replace")
    if not isinstance(counts, str):
        raise DataError("mask without counts", got=type(counts).__name__)
    mask = Rle(size_hw=(size_hw[0], size_hw[1]), counts=counts)
    masks.check_mask(mask)
    return mask


def _encode_runs(runs: list[Any], size_hw: SizeHW) -> Rle:
    """RLE from run lengths, which begin with zeros and go down the columns."""
    whole = all(isinstance(run, int) and run >= 0 for run in runs)
    if not whole or sum(runs) != size_hw[0] * size_hw[1]:
        raise DataError("mask runs do not fill the mask", expected=size_hw[0] * size_hw[1])
    values = np.arange(len(runs)) % 2 == 1
    mask_HW = np.repeat(values, runs).reshape(size_hw, order="F")
    return masks.encode_mask(mask_HW)


def _draw_polygons(polygons: list[Any], size_hw: SizeHW) -> Rle:
    """All polygons, [x0, y0, x1, y1, ...] each, as one mask."""
    height, width = size_hw
    if height * width > masks.MAX_PIXELS:
        raise DataError("mask is too large", got=size_hw)
    shapes = [_check_polygon(polygon, size_hw) for polygon in polygons]
    merged: Any = coco.merge(coco.frPyObjects(shapes, height, width))  # pyright: ignore
    return Rle(size_hw=(height, width), counts=merged["counts"].decode("ascii"))


def _check_polygon(polygon: Any, size_hw: SizeHW) -> list[float]:
    """Its coordinates, kept near the image: pycocotools allocates by a polygon's length."""
    if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2:
        raise DataError("not a polygon", expected="[x0, y0, x1, y1, x2, y2, ...]")
    values = [float(value) for value in polygon]
    if not all(map(math.isfinite, values)):
        raise DataError("not a polygon", expected="finite numbers")
    limits = (size_hw[1], size_hw[0])
    return [min(max(v, -1.0), limits[i % 2] + 1.0) for i, v in enumerate(values)]
