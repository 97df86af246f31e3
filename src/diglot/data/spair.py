"""Reading SPair-71k in the folders it is published in (Min et al. 2019, arXiv 1908.10543).

`Layout/<large|small>/<trn|val|test>.txt` names the pairs of a split, one a line;
`PairAnnotation/<split>/<name>.json` holds each: `category`, and for src and trg the picture's
`imname`, `imsize` (width, height, channels), `bndbox` (xyxy) and `kps`, the points seen in both;
`JPEGImages/<category>/<imname>` is the picture. ImageAnnotation and Segmentation are not needed.
"""

import json
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from diglot.core.errors import ConfigError, DataError
from diglot.core.progress import Progress, Report, ignore_progress
from diglot.core.types import Box
from diglot.data.images import resolve_inside
from diglot.data.pairs import Pair, PairImage, points_array
from diglot.data.rejected import Rejected

Split = Literal["trn", "val", "test"]
Size = Literal["large", "small"]
ANNOTATIONS, IMAGES, LAYOUT = "PairAnnotation", "JPEGImages", "Layout"
# How the two pictures differ, 0 = little; every record has them, and each is a group of scores.
_DIFFERENCES = ("viewpoint_variation", "scale_variation", "truncation", "occlusion")


def is_spair(folder: Path) -> bool:
    """Whether the folder looks like SPair-71k's."""
    return (folder / ANNOTATIONS).is_dir()


def read_spair(
    folder: Path,
    rejected: Rejected,
    *,
    split: Split = "test",
    size: Size = "large",
    report: Report = ignore_progress,
) -> list[Pair]:
    """The pairs of a split in the layout's order; a broken record goes to `rejected`.

    Raises ConfigError for a folder without the split.
    """
    if split not in get_args(Split):
        raise ConfigError("unknown split of SPair-71k", expected="trn, val or test", got=split)
    names = _list_names(folder, split, size)
    pairs = []
    for number, name in enumerate(names, start=1):
        try:
            pairs.append(_read_pair(folder, split, name))
        except DataError as error:
            rejected.add(name, error.what, where=error.where or name, detail=str(error))
        except OSError as error:  # a name that no file can have
            rejected.add(name, f"cannot be read: {error.strerror}", where=name)
        report(Progress("reading", number, len(names)))
    return pairs


def _list_names(folder: Path, split: str, size: str) -> list[str]:
    """The names of the layout; without one, all records of the split by name."""
    layout, records = folder / LAYOUT / size / f"{split}.txt", folder / ANNOTATIONS / split
    if layout.is_file():
        return [line.strip() for line in layout.read_text("utf-8").splitlines() if line.strip()]
    if records.is_dir() and not (folder / LAYOUT).exists():
        return sorted(path.stem for path in records.glob("*.json"))
    raise ConfigError(
        f"no split {split!r} of layout {size!r}",
        expected=str(layout),
        where=str(folder),
        fix="Give the folder that holds PairAnnotation, Layout and JPEGImages.",
    )


def _read_pair(folder: Path, split: str, name: str) -> Pair:
    fields = _read_record(_record_path(folder, split, name))
    try:
        category = str(fields["category"])
        sides = [_read_side(folder, category, fields, of) for of in ("src", "trg")]
        return Pair(
            id=name,
            category=category,
            source=sides[0],
            target=sides[1],
            box=_read_box(fields["trg_bndbox"]),
            visible_K=np.ones(len(sides[0].points_K2), bool),
            groups=tuple(
                f"{key.removesuffix('_variation')} {fields[key]}"
                for key in _DIFFERENCES
                if key in fields
            ),
        )
    except KeyError as error:
        raise DataError(f"record has no {error.args[0]!r}", where=name) from error


def _record_path(folder: Path, split: str, name: str) -> Path:
    """The record's file; a colon, which some systems cannot store, may have become "_"."""
    for spelled in (name, name.replace(":", "_")):
        path = resolve_inside(folder, f"{ANNOTATIONS}/{split}/{spelled}.json")
        if path.is_file():
            return path
    raise DataError("no such record", where=name)


def _read_record(path: Path) -> dict[str, Any]:
    try:
        fields = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DataError("record is no JSON", where=path.name) from error
    if not isinstance(fields, dict):
        raise DataError("record is no JSON object", where=path.name)
    return fields


def _read_side(folder: Path, category: str, fields: dict[str, Any], of: str) -> PairImage:
    image = f"{IMAGES}/{category}/{fields[f'{of}_imname']}"
    path = resolve_inside(folder, image)
    if not path.is_file():
        raise DataError("no such picture", where=image)
    try:
        width, height = (int(side) for side in fields[f"{of}_imsize"][:2])
    except (TypeError, ValueError) as error:
        raise DataError("imsize is not width and height", got=fields[f"{of}_imsize"]) from error
    return PairImage(
        image=path, size_hw=(height, width), points_K2=points_array(fields[f"{of}_kps"])
    )


def _read_box(fields: Any) -> Box:
    try:
        x0, y0, x1, y1 = (float(value) for value in fields)
    except (TypeError, ValueError) as error:
        raise DataError("bndbox is not xyxy", got=f"{fields!r:.80}") from error
    return x0, y0, x1, y1
