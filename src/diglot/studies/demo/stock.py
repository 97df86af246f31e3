"""The demo's stock folder: its code-switched model as a stock class loads it, and the check."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
import transformers

from diglot import __version__
from diglot.core.errors import ConfigError
from diglot.files import read_kept, write_kept
from diglot.measure.kept import checkpoint_digest
from diglot.models.export.flow import check_folder, export_checkpoint
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
    """Export the code-switched run, unless it was and is as it was then, and check the folder.

    What is known of the folder is kept beside it: the digest of its files, and what the check of
    them found, which loads the model twice.
    """
    folder, checkpoint = demo.out / "export", demo.out / EXPORTED / "model"
    with demo.timed("stock export"):
        versions = (transformers.__version__, torch.__version__, __version__)
        about = [checkpoint_digest(checkpoint), *versions]
        kept = demo.out / CHECKED
        known = read_kept(kept, about)
        if not known or not folder.is_dir() or known["files"] != checkpoint_digest(folder):
            shutil.rmtree(folder, ignore_errors=True)
            export_checkpoint(checkpoint, CONTAINER, folder)
            known = {"files": checkpoint_digest(folder)}
            write_kept(kept, about, known)
        if "check" not in known:
            passed, check = _check(folder, checkpoint)
            known["check"] = check
            if passed:  # else a package may be at fault, and be mended
                write_kept(kept, about, known)
    return StockFolder(folder, known["check"])


def _check(folder: Path, checkpoint: Path) -> tuple[bool, str]:
    """Whether the folder does what its checkpoint does, and what was found."""
    try:
        result = check_folder(folder, checkpoint=checkpoint)
    except ConfigError as error:  # another release of transformers may lack the class
        return False, f"not loaded here: {error}"
    if not result.passed:
        return False, "it does something else than its checkpoint"
    difference = result.largest_difference
    return True, f"{LOADS} gives the checkpoint's logits, largest difference {difference:.1e}"
