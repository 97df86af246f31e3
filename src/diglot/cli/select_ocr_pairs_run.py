"""What `diglot select ocr-pairs` does once its options are read; this loads the model libraries."""

from pathlib import Path

from diglot.cli.console import open_console
from diglot.cli.progress import show_progress
from diglot.synth.text_pairs.compose import OcrPairMaker
from diglot.synth.text_pairs.config import OcrPairsConfig
from diglot.synth.text_pairs.fonts import find_families
from diglot.synth.text_pairs.write import PREVIEW, write_ocr_pairs

_DEFAULTS = OcrPairsConfig()


def run_ocr_pairs(
    *, out: Path, count: int, seed: int, fonts: Path | None, drawing: OcrPairsConfig
) -> None:
    """Make pairs of pictures that show the same words, or the same chart, in two ways."""
    maker = OcrPairMaker(find_families([fonts] if fonts else []), drawing, seed=seed)
    with show_progress() as report:
        rejected = write_ocr_pairs(maker, out, count, report=report)
    console = open_console()
    console.print(f"pairs: {out}, see {out / PREVIEW}", highlight=False)
    for reason, number in rejected.counts.items():
        console.print(f"rejected: {number} {reason}", highlight=False)
