"""`diglot select c-score` and `scene-pairs`: how well an encoder's features correspond."""

from pathlib import Path
from typing import Any

from diglot.config.paths import InFolder, OutFolder, OutJson
from diglot.config.ranges import NonNegativeInt, PositiveInt, Seed
from diglot.data.spair import Split
from diglot.measure.correspondence.config import (
    ALPHAS,
    WINDOW_CELLS,
    Geometry,
    Read,
)
from diglot.synth.scene_pairs.config import ScenePairsConfig

_SCENE_DEFAULTS = ScenePairsConfig()


def c_score(
    *,
    pairs: InFolder,
    encoder: str | dict[str, Any] | list[str | dict[str, Any]] = "efficientnet_lite0",
    alpha: float | tuple[float, ...] = ALPHAS,
    geometry: Geometry = "letterbox",
    read: Read = "bilinear",
    upsample: PositiveInt = 1,
    window: NonNegativeInt = WINDOW_CELLS,
    split: Split = "test",
    first: PositiveInt | None = None,
    features: OutFolder = Path("runs/select/features"),
    seed: Seed = 0,
    json: OutJson | None = None,
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
        window: For law_compat: cells on each side of the best that its soft-argmax weighs; 0: that
            one alone.
        split: For SPair-71k: trn, val or test.
        first: Only the first pairs of the folder.
        features: Folder that keeps the features of every picture and encoder.
        seed: Of the intervals.
        json: Also write the scores to this file, as fractions.
    """
    from diglot.cli.select_pairs_run import run_c_score  # slow to load: not for --help

    run_c_score(
        pairs=pairs,
        encoder=encoder,
        alpha=alpha,
        geometry=geometry,
        read=read,
        upsample=upsample,
        window=window,
        split=split,
        first=first,
        features=features,
        seed=seed,
        json=json,
    )


def scene_pairs(
    out: OutFolder,
    *,
    count: PositiveInt = 300,
    seed: Seed = 0,
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
    from diglot.cli.select_pairs_run import run_scene_pairs  # slow to load: not for --help

    run_scene_pairs(out=out, count=count, seed=seed, scene=scene)
