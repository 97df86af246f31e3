"""The demo's stock folder: its code-switched model as a stock class loads it, and the check."""

from dataclasses import dataclass
from pathlib import Path

from diglot.core.errors import ConfigError
from diglot.models.export.flow import check_folder, export_checkpoint
from diglot.models.export.folder import ORIGIN
from diglot.studies.demo.flow import Demo

CONTAINER, EXPORTED = "aya_vision", "code_switch"
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
        check = _check(folder)
    return StockFolder(folder, check)


def _check(folder: Path) -> str:
    try:
        result = check_folder(folder)
    except ConfigError as error:  # another release of transformers may lack the class
        return f"not loaded here: {error}"
    if not result.passed:
        return "it does something else than its checkpoint"
    difference = result.largest_difference
    return f"{LOADS} gives the checkpoint's logits, largest difference {difference:.1e}"
