"""Pairs of pictures for a dataset page: the same number marks the same point on both."""

import random
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from diglot.core.errors import DataError
from diglot.data.images import decode_image
from diglot.data.pair_folder import LINES, read_info, read_pairs
from diglot.data.pairs import Pair, PairImage
from diglot.data.rejected import REJECTED, Rejected
from diglot.report.thumbnails import jpeg_uri

_POINTS, _MARK = 8, 0.05  # points shown; side of a mark, as a share of the picture's longer side
_THUMBNAIL_PX = 480


def holds_pairs(folder: Path) -> bool:
    """Whether a folder looks like one of pairs."""
    return (folder / LINES).is_file()


def pairs_page(folder: Path, count: int, seed: int) -> dict[str, Any]:
    """The page's JSON without title and date. Raises DataError where the folder is not ours."""
    info = read_info(folder)
    with tempfile.TemporaryDirectory() as aside:  # looking writes nothing into the folder
        rejected = Rejected(Path(aside) / REJECTED)
        pairs = read_pairs(folder, rejected)
        reasons = [list(pair) for pair in rejected.counts.items()]
    drawn = random.Random(seed).sample(pairs, min(count, len(pairs)))
    shown, unusable = _show_pairs(drawn)
    categories = Counter(pair.category for pair in pairs).most_common()
    groups = Counter(group for pair in pairs for group in pair.groups).most_common(12)
    charts = [("Pairs by category", categories[:12]), ("Pairs by group", groups)]
    rest = [len(pairs) - sum(n for _, n in categories[:12]), 0]
    return {
        "note": f"{len(shown)} of {len(pairs):,} pairs, drawn at random with seed {seed}; "
        f"at most {_POINTS} of the points visible in both pictures are marked.",
        "facts": {
            "pairs": f"{len(pairs):,}",
            "points visible in both": f"{sum(int(p.visible_K.sum()) for p in pairs):,}",
            **{str(key): str(value) for key, value in info.items() if not isinstance(value, dict)},
        },
        "charts": [
            {"title": title, "bars": [list(bar) for bar in bars], "rest": more}
            for (title, bars), more in zip(charts, rest, strict=True)
            if bars
        ],
        "rejected": reasons,
        "unusable": unusable,
        "samples": shown,
    }


def _show_pairs(pairs: list[Pair]) -> tuple[list[dict[str, Any]], list[list[str]]]:
    """The pairs that can be drawn, and [id, reason] of the others."""
    shown, unusable = [], []
    for pair in pairs:
        try:
            shown.append(_pair_json(pair))
        except DataError as error:
            unusable.append([pair.id, str(error)])
    return shown, unusable


def _pair_json(pair: Pair) -> dict[str, Any]:
    visible = np.flatnonzero(pair.visible_K)
    marked = visible[np.linspace(0, len(visible) - 1, min(_POINTS, len(visible))).astype(int)]
    sides = (pair.source, pair.target)
    scenes = [_side_json(side, marked, pair.id) for side in sides]
    groups = [{"step": group, "revision": ""} for group in (pair.category, *pair.groups)]
    return {"id": pair.id, "scenes": scenes, "lineage": groups, "paired": True}


def _side_json(side: PairImage, marked: np.ndarray, id: str) -> dict[str, Any]:
    half = _MARK * max(side.size_hw) / 2
    picture = decode_image(side.image, where=f"pair {id!r}")
    return {
        "id": id,
        "image": jpeg_uri(picture, max_px=_THUMBNAIL_PX),
        "size_hw": list(side.size_hw),
        "caption": "",
        "regions": [
            {
                "phrase": f"point {k + 1}",
                "label": f"point {k + 1}",
                "box": [float(x) - half, float(y) - half, float(x) + half, float(y) + half],
            }
            for k in marked
            for x, y in [side.points_K2[k]]
        ],
    }
