"""In which unit the boxes of a dataset are, by the first of them: a guess, for a warning.

Boxes are xyxy pixels of the original image. Other tools write shares of the sides (0..1), whole
numbers up to 1000 (Qwen-VL, Gemini), or x, y, width, height (COCO). A single box can rarely be
distinguished from a right one; many together can.
"""

import logging
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from diglot.core.types import BOX_SLACK_PX
from diglot.data.shards import shard_paths
from diglot.data.stored_rows import list_rows

log = logging.getLogger(__name__)

RECORDS = 128  # whose boxes are read for a warning
SHARE, THOUSAND = 1.5, 1000.0  # of boxes in 0..1 with some slack, and in 0..1000
MOST = 0.5  # of the boxes look so


def warn_of_boxes(folder: Path, split: str) -> None:
    """Log that the boxes of a dataset look like another unit, where they do."""
    if unit := guess_box_unit(folder, split, records=RECORDS):
        log.warning(
            "%s: the boxes look like %s; expected xyxy pixels of the original image. Each is "
            "listed by: diglot check %s",
            folder,
            unit,
            folder,
        )


def guess_box_unit(folder: Path, split: str, *, records: int) -> str | None:
    """What the boxes of the first records look like, where that is not xyxy pixels.

    None where they look right, there are none, or they cannot be read.
    """
    try:
        pairs = list(_first_boxes(folder, split, records))
    except (OSError, pa.ArrowException):
        return None
    if not pairs:
        return None
    boxes_N4 = np.array([box for box, _ in pairs], np.float64)
    sizes_N2 = np.array([size for _, size in pairs], np.float64)  # (height, width)
    return _name_unit(boxes_N4, sizes_N2) if np.isfinite(boxes_N4).all() else None


def _name_unit(boxes_N4: np.ndarray, sizes_N2: np.ndarray) -> str | None:
    last_N, side_N = boxes_N4.max(1), sizes_N2.max(1)
    if np.mean((last_N <= SHARE) & (side_N > 4)) > MOST:
        return "shares of the image's sides (0 to 1)"
    beyond_N = (boxes_N4[:, 2:] > sizes_N2[:, ::-1] + BOX_SLACK_PX).any(1)
    if last_N.max() <= THOUSAND and np.mean(beyond_N) > MOST:
        return "thousandths of the image's sides (0 to 1000)"
    # a right box has no corner behind the other; read as xywh it lies within the image
    turned_N = (boxes_N4[:, 2:] <= boxes_N4[:, :2]).any(1) & (boxes_N4[:, 2:] > 0).all(1)
    inside_N = (boxes_N4[:, :2] + boxes_N4[:, 2:] <= sizes_N2[:, ::-1] + BOX_SLACK_PX).all(1)
    if turned_N.any() and np.mean(inside_N) > MOST:
        return "x, y, width and height"
    return None


def _first_boxes(folder: Path, split: str, records: int) -> Iterator[tuple[list[float], list[int]]]:
    """(box, image's height and width) of the regions of the first records, as they are stored."""
    for row in islice(_stored_rows(folder, split), records):
        sizes = row.get("sizes_hw") or [row.get("size_hw")]
        for region in filter(None, row.get("regions") or ()):
            number, box = region.get("image") or 0, region.get("box") or ()
            size = (sizes[number] if 0 <= number < len(sizes) else None) or ()
            # a damaged record is rejected later, with its reason
            if len(box) == 4 and len(size) == 2 and None not in (*box, *size):
                yield box, size


def _stored_rows(folder: Path, split: str) -> Iterator[dict[str, Any]]:
    """The rows of a split without their pictures and texts."""
    wanted = ("regions", "sizes_hw", "size_hw")  # the last of format 1
    for path in shard_paths(folder, split):
        with pq.ParquetFile(path) as file:
            columns = [name for name in wanted if name in file.schema_arrow.names]
            for batch in file.iter_batches(128, columns=columns):
                yield from list_rows(batch)
