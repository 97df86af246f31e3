"""`diglot select c-score` and `scene-pairs`: how well an encoder's features correspond."""

from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from diglot.cli.progress import show_progress
from diglot.cli.scenes import embedded_backgrounds, embedded_pools
from diglot.data.formats.spair import Split
from diglot.data.rejected import Rejected
from diglot.files import write_json
from diglot.measure.correspondence.features import Geometry
from diglot.measure.correspondence.law_compat import WINDOW_CELLS
from diglot.measure.correspondence.maps import Read
from diglot.measure.correspondence.pck import ALPHAS, score_record
from diglot.measure.correspondence.run import (
    CScoreConfig,
    build_encoders,
    open_pairs,
    resolved_encoders,
    score_pairs,
    split_parts,
)
from diglot.measure.correspondence.table import c_score_table
from diglot.synth.scene_pairs.compose import ScenePairMaker
from diglot.synth.scene_pairs.config import ScenePairsConfig
from diglot.synth.scene_pairs.write import write_pairs

_SCENE_DEFAULTS = ScenePairsConfig()


def c_score(
    *,
    pairs: Path,
    encoder: str | dict[str, Any] | list[str | dict[str, Any]] = "efficientnet_lite0",
    alpha: float | tuple[float, ...] = ALPHAS,
    geometry: Geometry = "letterbox",
    read: Read = "bilinear",
    upsample: int = 1,
    window: int = WINDOW_CELLS,
    split: Split = "test",
    first: int | None = None,
    features: Path = Path("runs/select/features"),
    seed: int = 0,
    json: Path | None = None,
) -> None:
    """The C score: the share of keypoints whose match in another picture is found (PCK@alpha).

    The pairs are SPair-71k, in the folders it is published in, or made by diglot.

    Examples:
        diglot select scene-pairs data/scene_pairs --count 300
        diglot select c-score --pairs data/scene_pairs \\
            --encoder '{name: efficientnet_lite0, image_px: 448}'
        diglot select c-score --pairs SPair-71k --geometry law_compat \\
            --encoder '[{name: clip, path: A}, {name: dinov2, path: B}]'

    Args:
        pairs: Folder of SPair-71k (PairAnnotation, JPEGImages, Layout), or of pairs diglot made.
        encoder: A name, {name: ..., field: ...} with its layer and size, or several (names joined
            by commas, or a list) whose features are combined.
        alpha: A match is right within alpha times the longer side of the target's box.
        geometry: letterbox (pictures and points padded alike), or law_compat, what the authors'
            public code does, to compare with Table 4: there the mean of pairs is the C score.
        read: A source point's feature: bilinear between cells, or that of the nearest cell.
        upsample: Search features enlarged this many times; 1 searches the encoder's own cells.
        window: For law_compat: cells around the best that its soft-argmax weighs.
        split: For SPair-71k: trn, val or test.
        first: Only the first pairs of the folder.
        features: Folder that keeps the features of every picture and encoder.
        seed: Of the intervals.
        json: Also write the scores to this file, as fractions.
    """
    config = CScoreConfig(
        alphas=alpha if isinstance(alpha, tuple) else (alpha,),
        geometry=geometry,
        read=read,
        upsample=upsample,
        window=window,
        split=split,
        first=first,
        seed=seed,
    )
    parts = split_parts(encoder)
    resolved = resolved_encoders(parts)
    rejected = _fresh(features / f"{pairs.resolve().name}.rejected.jsonl")
    with show_progress() as report:
        found = open_pairs(pairs, config, rejected, report)
        encoders = build_encoders(parts, "cuda" if torch.cuda.is_available() else "cpu")
        score = score_pairs(
            found,
            encoders,
            config,
            features=features,
            rejected=rejected,
            report=report,
        )
    console = Console()
    names = " + ".join(f"{part['name']}" for part in resolved)
    title = f"C score of {names} on {score.pairs} pairs, {geometry}, per cent"
    console.print(c_score_table(score, title=title))
    for reason, count in {**score.left_out, **rejected.counts}.items():
        console.print(f"not scored: {count} {reason}", highlight=False, markup=False)
    if rejected.counts:
        console.print(f"rejected: {rejected.path}", highlight=False, markup=False)
    if json is not None:
        settings = {**vars(config), "alphas": list(config.alphas)}
        about = {"folder": str(pairs), "encoders": resolved, "settings": settings}
        write_json(json, {**about, "rejected": rejected.counts, **score_record(score)})


def scene_pairs(
    out: Path,
    *,
    count: int = 300,
    seed: int = 0,
    scene: ScenePairsConfig = _SCENE_DEFAULTS,
) -> None:
    """Make pairs of scenes with one object in common, whose keypoints correspond exactly.

    A quarter of the pairs each: the object moved and scaled; turned too; mirrored too; among and
    under other objects too.

    Example:
        diglot select scene-pairs data/scene_pairs --count 300 --seed 0

    Run it again to resume after an interruption, or with a larger count to add pairs.

    Args:
        out: Folder of the pairs.
        count: Pairs it is to hold in the end.
        seed: Pairs with the same seed and settings are the same.
        scene: How the pairs are composed.
    """
    maker = ScenePairMaker(embedded_pools(), scene, seed=seed, photos=embedded_backgrounds())
    with show_progress() as report:
        rejected = write_pairs(maker, out, count, report=report)
    console = Console()
    console.print(f"pairs: {out}", highlight=False, markup=False)
    for reason, number in rejected.counts.items():
        console.print(f"rejected: {number} {reason}", highlight=False, markup=False)


def _fresh(path: Path) -> Rejected:
    """An empty list: it holds the rejections of this run alone."""
    path.unlink(missing_ok=True)
    return Rejected(path)
