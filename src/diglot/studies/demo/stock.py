"""The demo's stock folder: its code-switched model as a stock class loads it, and the check."""

from dataclasses import dataclass
from pathlib import Path

import torch
import transformers

from diglot import __version__
from diglot.core.errors import ConfigError
from diglot.files import read_kept, write_kept
from diglot.measure.kept import checkpoint_digest
from diglot.models.export.flow import check_folder, export_checkpoint
from diglot.models.export.folder import ORIGIN
from diglot.studies.demo.flow import Demo

CONTAINER, EXPORTED, CHECKED = "aya_vision", "code_switch", "export_check.json"
LOADS = "AutoModelForImageTextToText.from_pretrained"


@dataclass(frozen=True)
class StockFolder:
    """What was written, and what is known of it."""

    folder: Path
    check: str
    """What the check found, or why it could not be made."""


def write_stock_folder(demo: Demo) -> StockFolder:
    """Export the code-switched run, unless it was, and check the folder."""
    folder = demo.out / "export"
    with demo.timed("stock export"):
        if not (folder / ORIGIN).exists():
            export_checkpoint(demo.out / EXPORTED / "model", CONTAINER, folder)
        check = _check_once(demo, folder)
    return StockFolder(folder, check)


def _check_once(demo: Demo, folder: Path) -> str:
    """What the check found, or had found of the same files: it loads the model twice."""
    kept, checkpoint = demo.out / CHECKED, demo.out / EXPORTED / "model"
    sides = [checkpoint_digest(path) for path in (checkpoint, folder)]
    about = [*sides, transformers.__version__, torch.__version__, __version__]
    if found := read_kept(kept, about):
        return found
    try:
        result = check_folder(folder, checkpoint=checkpoint)
    except ConfigError as error:  # another release of transformers may lack the class
        return f"not loaded here: {error}"
    if not result.passed:
        return "it does something else than its checkpoint"
    difference = result.largest_difference
    found = f"{LOADS} gives the checkpoint's logits, largest difference {difference:.1e}"
    write_kept(kept, about, found)  # not of what failed: a package may be at fault, and be mended
    return found
