"""What `diglot select view` does once its options are read; this loads the model libraries."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from diglot.cli.progress import show_progress
from diglot.config.paths import read_page_path
from diglot.core.errors import ConfigError, DataError
from diglot.core.progress import Report
from diglot.data.config import check_cache
from diglot.data.images import decode_image
from diglot.data.pairs import Pair, PairImage
from diglot.data.rejected import Rejected
from diglot.data.spair import Split
from diglot.files import claim_folder
from diglot.measure.correspondence.config import CScoreConfig, MatchConfig
from diglot.measure.correspondence.features import Features, Pictures
from diglot.measure.correspondence.run import (
    Part,
    build_encoders,
    open_pairs,
    resolved_encoders,
    split_parts,
)
from diglot.measure.correspondence.shown import FoundPoint, find_points
from diglot.models.device_map import default_device
from diglot.report.correspondence_page import write_correspondence_page
from diglot.report.thumbnails import jpeg_uri

_THUMBNAIL_PX = 480


def run_view_pairs(
    *,
    pairs: Path,
    encoder: list[str | dict[str, Any]],
    out: Path | None,
    files: Path | None,
    count: int,
    points: int,
    alpha: float,
    upsample: int,
    split: Split,
    category: str | None,
    features: Path,
    seed: int,
) -> None:
    """Make the page, and the files where they are wanted."""
    if files is not None:
        claim_folder(files, "select view --files")
    check_cache(features)
    settings = [split_parts(one) for one in encoder]
    config = CScoreConfig(alphas=(alpha,), upsample=upsample, split=split)
    rejected = Rejected(features / f"{pairs.resolve().name}.shown.rejected.jsonl")
    with show_progress() as report:
        usable = open_pairs(pairs, config, rejected, report)
        drawn = _draw_pairs(usable, category, count, seed)
        shown = [_open_pair(pair, points, alpha) for pair in drawn]
        for number, parts in enumerate(settings):
            maps = _build_maps(drawn, parts, features, rejected, report)
            for pair, made in zip(drawn, shown, strict=True):
                _add_predictions(made, pair, maps, number, upsample)
    page = {
        "title": f"Correspondences: {pairs.resolve().name}",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "note": f"{len(drawn)} of {len(usable):,} pairs, drawn at random with seed {seed}",
        "alpha": alpha,
        "encoders": _name_settings(settings),
        "pairs": shown,
    }
    print(write_correspondence_page(page, out or read_page_path(pairs / "correspondence.html")))
    if files is not None:
        from diglot.report.static_pairs import write_pair_figures  # matplotlib is slow to load

        print(f"{files}: {len(write_pair_figures(page, files))} files")


def _draw_pairs(usable: list[Pair], category: str | None, count: int, seed: int) -> list[Pair]:
    """Pairs with a point that is scored."""
    fit = [p for p in usable if p.scored_K.any() and category in (None, p.category)]
    if not fit:
        known = ", ".join(sorted({pair.category for pair in usable}))
        raise ConfigError("no such pair", expected=f"a category of {known}", got=category)
    return random.Random(seed).sample(fit, min(count, len(fit)))


def _open_pair(pair: Pair, points: int, alpha: float) -> dict[str, Any]:
    """The pair's JSON, without predictions. Raises DataError for a picture that is none."""
    scored = np.flatnonzero(pair.scored_K)
    spread = np.linspace(0, len(scored) - 1, min(points, len(scored))).round().astype(int)
    return {
        "id": pair.id,
        "about": ", ".join((pair.category, *pair.groups)),
        "source": _picture_json(pair.source, pair.id),
        "target": _picture_json(pair.target, pair.id),
        "radius": alpha * pair.box_side,
        "chosen": scored[spread].tolist(),
        "points": [
            {
                "source": pair.source.points_K2[k].tolist(),
                "true": pair.target.points_K2[k].tolist(),
                "found": [],
            }
            for k in scored[spread]
        ],
    }


def _picture_json(side: PairImage, id: str) -> dict[str, Any]:
    picture = decode_image(side.image, where=f"pair {id!r}")
    return {"image": jpeg_uri(picture, max_px=_THUMBNAIL_PX), "size_hw": list(side.size_hw)}


def _build_maps(
    drawn: Sequence[Pair],
    parts: Sequence[Part],
    folder: Path,
    rejected: Rejected,
    report: Report,
) -> Features:
    """The features of the drawn pictures. Raises DataError where a picture gives none."""
    encoders = build_encoders(parts, default_device())
    maps = Features(Pictures(drawn), encoders, folder, geometry="letterbox")
    before = sum(rejected.counts.values())
    maps.build(rejected, report)
    if sum(rejected.counts.values()) > before:
        raise DataError("a picture cannot be encoded", where=str(rejected.path))
    return maps


def _add_predictions(
    made: dict[str, Any], pair: Pair, maps: Features, number: int, upsample: int
) -> None:
    """What encoder `number` finds for every chosen point."""
    sides = pair.source, pair.target
    of_sides = maps.map(sides[0]), maps.map(sides[1])
    views = maps.view(sides[0].size_hw), maps.view(sides[1].size_hw)
    own = MatchConfig(upsample=upsample)
    for point, found in zip(
        made["points"], find_points(pair, of_sides, views, made["chosen"], own), strict=True
    ):
        point["found"].append(_found_json(found, number))


def _found_json(found: FoundPoint, number: int) -> dict[str, Any]:
    return {
        "encoder": number,
        "boxes": [[round(edge, 2) for edge in box] for box in found.boxes],
        "values": found.cosine_P.round(4).tolist(),
        "predicted": list(found.predicted),
        "error": found.error,
    }


def _name_settings(settings: Sequence[Sequence[Part]]) -> list[str]:
    """Names of encoders; those of one name with the settings that they differ in."""
    resolved = [resolved_encoders(parts) for parts in settings]
    names = [" + ".join(part["name"] for part in parts) for parts in resolved]
    named = []
    for name, parts in zip(names, resolved, strict=True):
        alike = [other for other, its in zip(resolved, names, strict=True) if its == name]
        differing = [
            f"{key} {value}"
            for number, part in enumerate(parts)
            for key, value in part.items()
            if any(other[number].get(key) != value for other in alike)
        ]
        named.append(f"{name} ({', '.join(differing)})" if differing else name)
    return named
