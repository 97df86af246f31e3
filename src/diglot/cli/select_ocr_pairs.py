"""`diglot select ocr-pairs`: pairs of rendered text and charts, for a C score of text."""

from pathlib import Path

from rich.console import Console

from diglot.cli.progress import show_progress
from diglot.synth.text_pairs.compose import OcrPairMaker
from diglot.synth.text_pairs.config import OcrPairsConfig
from diglot.synth.text_pairs.fonts import find_families
from diglot.synth.text_pairs.write import PREVIEW, write_ocr_pairs

_DEFAULTS = OcrPairsConfig()


def ocr_pairs(
    out: Path,
    *,
    count: int = 2000,
    seed: int = 0,
    fonts: Path | None = None,
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
    maker = OcrPairMaker(find_families([fonts] if fonts else []), drawing, seed=seed)
    with show_progress() as report:
        rejected = write_ocr_pairs(maker, out, count, report=report)
    console = Console()
    console.print(f"pairs: {out}, see {out / PREVIEW}", highlight=False, markup=False)
    for reason, number in rejected.counts.items():
        console.print(f"rejected: {number} {reason}", highlight=False, markup=False)
