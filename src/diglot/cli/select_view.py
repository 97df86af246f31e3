"""`diglot select view`: where encoders find the points of one picture in another, as a page."""

from pathlib import Path
from typing import Any

from diglot.config.paths import InFolder, OutFolder, OutPage
from diglot.config.ranges import PositiveFloat, PositiveInt, Seed
from diglot.data.spair import Split


def view(
    pairs: InFolder,
    *,
    encoder: list[str | dict[str, Any]],
    out: OutPage | None = None,
    files: OutFolder | None = None,
    count: PositiveInt = 4,
    points: PositiveInt = 2,
    alpha: PositiveFloat = 0.1,
    upsample: PositiveInt = 1,
    split: Split = "test",
    category: str | None = None,
    features: OutFolder = Path("runs/select/features"),
    seed: Seed = 0,
) -> None:
    """Make one HTML page, which needs no network, of where encoders find points of pairs.

    Of each pair: both pictures with their points; and of each point and encoder the similarity
    over the target, the place found and the true one (Law of Vision Representation, Fig. 6 to 8).

    Examples:
        diglot select view data/scene_pairs \\
            --encoder '{name: efficientnet_lite0, image_px: 448}' --encoder mobilesam

        diglot select view SPair-71k --category cat --upsample 4 \\
            --encoder '{name: clip, path: A}' --encoder '{name: dinov2, path: B}'

    Args:
        pairs: Folder of SPair-71k, or of pairs diglot made.
        encoder: A name, names joined by commas (their features joined), or {name: ..., field: ...};
            once for every encoder to show.
        out: The page to write; correspondence.html in the folder of the pairs if left out.
        files: A folder for every figure as SVG and PNG.
        count: How many pairs, drawn at random.
        points: Points of each pair, spread over those that are scored.
        alpha: A match is right within alpha times the longer side of the target's box.
        upsample: Search, and draw, features enlarged this many times; 1 is the encoder's own cells.
        split: For SPair-71k: trn, val or test.
        category: Only pairs of this category.
        features: Folder that keeps the features of every picture and encoder.
        seed: Of the draw.
    """
    from diglot.cli.select_view_run import run_view_pairs  # slow to load: not for --help

    run_view_pairs(
        pairs=pairs,
        encoder=encoder,
        out=out,
        files=files,
        count=count,
        points=points,
        alpha=alpha,
        upsample=upsample,
        split=split,
        category=category,
        features=features,
        seed=seed,
    )
