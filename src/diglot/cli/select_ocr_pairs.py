"""`diglot select ocr-pairs`: pairs of rendered text and charts, for a C score of text."""

from diglot.config.paths import InFolder, OutFolder
from diglot.config.ranges import PositiveInt, Seed
from diglot.synth.text_pairs.config import OcrPairsConfig

_DEFAULTS = OcrPairsConfig()


def ocr_pairs(
    out: OutFolder,
    *,
    count: PositiveInt = 2000,
    seed: Seed = 0,
    fonts: InFolder | None = None,
    drawing: OcrPairsConfig = _DEFAULTS,
) -> None:
    """Make pairs of pictures that show the same words, or the same chart, in two ways.

    Fonts, colours, layout, order, background and warp differ; keypoints correspond exactly. A third
    of the pairs each are easy, medium and hard.

    Examples:
        diglot select ocr-pairs data/ocr_pairs --count 300 --seed 0
        diglot select c-score --pairs data/ocr_pairs --encoder efficientnet_lite0
        diglot select ocr-pairs data/letters --count 300 --drawing.what '[characters]'

    Run it again to resume after an interruption, or with a larger count to add pairs.

    Args:
        out: Folder of the pairs; preview.png in it shows some.
        count: Pairs it is to hold in the end.
        seed: Pairs with the same seed, settings and fonts are the same.
        fonts: Folder of TTF or OTF files to draw with, instead of the system's and matplotlib's.
        drawing: What is drawn.
    """
    from diglot.cli.select_ocr_pairs_run import run_ocr_pairs  # slow to load: not for --help

    run_ocr_pairs(out=out, count=count, seed=seed, fonts=fonts, drawing=drawing)
