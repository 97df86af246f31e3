"""Writing pairs of text to a folder, with a picture of some of them."""

from pathlib import Path

from diglot.core.progress import Report, ignore_progress
from diglot.data.pair_folder import read_pairs
from diglot.data.rejected import Rejected
from diglot.files import replace_file
from diglot.synth.scene_pairs.write import write_pairs
from diglot.synth.text_pairs.compose import OcrPairMaker
from diglot.synth.text_pairs.preview import draw_preview

PREVIEW = "preview.png"


def write_ocr_pairs(
    maker: OcrPairMaker,
    folder: Path,
    count: int,
    *,
    report: Report = ignore_progress,
) -> Rejected:
    """As `write_pairs`; some of the pairs are drawn into `preview.png`."""
    rejected = write_pairs(maker, folder, count, report=report)
    with replace_file(folder / PREVIEW) as temporary:
        draw_preview(read_pairs(folder, rejected)).save(temporary, "PNG")
    return rejected
