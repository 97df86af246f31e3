"""What `diglot export` does once its options are read; this loads the model libraries."""

import re
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from diglot.cli.console import open_console
from diglot.core.errors import ConfigError
from diglot.data.images import open_picture
from diglot.files import write_json
from diglot.measure.checkpoint import checkpoint_folder
from diglot.models.checkpoint import CONFIG, load_config
from diglot.models.export.check import ExportCheck
from diglot.models.export.container import compare_containers
from diglot.models.export.design import read_design
from diglot.models.export.flow import check_folder, export_checkpoint
from diglot.models.vlm import VLMConfig
from diglot.train.config import stage_of_recipes


def run_export(
    *,
    checkpoint: Path | None,
    to: str | None,
    out: Path | None,
    adapter: bool,
    dtype: str | None,
    shard_size: str,
    check: Path | None,
    images: list[Path],
    list: list[str] | None,
    json: Path | None,
) -> None:
    """Write a checkpoint as a stock folder, which needs nothing of diglot any more."""
    console = open_console(file=sys.stdout, highlight=False)
    for image in images:  # a wrong one is found before the work
        open_picture(image)
    if list is not None:
        _list_containers(list, console, json)
        return
    if checkpoint is not None and out is not None and to is not None:
        _check_size(shard_size)
        folder = checkpoint_folder(checkpoint)
        export_checkpoint(folder, to, out, dtype=dtype, shard_size=shard_size, adapter=adapter)
        console.print(f"exported    {out}", soft_wrap=True)
    elif check in (None, out):
        raise ConfigError(
            "nothing to do", expected="CHECKPOINT --to CONTAINER --out DIR, --check DIR, or --list"
        )
    if check is not None:
        _report_check(check_folder(check, images, checkpoint=checkpoint), console, json)


def _check_size(size: str) -> None:
    """Raises ConfigError for a size that transformers would not read, after the work."""
    if not re.fullmatch(r"\d+ ?[KMGT]B", size):
        raise ConfigError("no size", expected="5GB, 500MB", got=size, where="--shard_size")


def _list_containers(names: Sequence[str], console: Console, json: Path | None) -> None:
    design = read_design(_model_of(names))
    misfits = compare_containers(design)
    for container, reasons in misfits.items():
        summary = "holds it" if not reasons else "; ".join(reasons)
        console.print(f"{container:<16} {summary}", soft_wrap=True)
    for unread in design.unread:
        console.print(f"not compared     {unread}", soft_wrap=True)
    if json:
        write_json(json, {"containers": misfits, "unread": design.unread})


def _model_of(names: Sequence[str]) -> VLMConfig:
    """The model of a checkpoint's folder, or of recipes, later ones over earlier."""
    if len(names) == 1 and (Path(names[0]) / CONFIG).exists():
        return load_config(Path(names[0]))
    return stage_of_recipes(names, option="--list").model


def _report_check(result: ExportCheck, console: Console, json: Path | None) -> None:
    """Raises ConfigError where the folder does something else than its checkpoint."""
    if json:
        write_json(json, asdict(result) | {"passed": result.passed})
    difference = result.largest_difference
    figure = "not comparable" if difference is None else f"{difference:.1e}"
    console.print(
        f"check       {result.images} images, largest difference of logits {figure} "
        f"(allowed {result.tolerance:.0e}, in {result.computed_in})",
        soft_wrap=True,
    )
    if result.pixel_difference is not None:
        console.print(f"pixels      largest difference {result.pixel_difference:.1e}")
    for answer in result.answers:
        console.print(f"generated   {answer!r}", soft_wrap=True)
    if result.lacking:
        console.print(
            f"not checked its processor, which cannot be loaded here: {result.lacking}",
            soft_wrap=True,
        )
    if not result.passed:
        raise ConfigError(
            "the export does something else than its checkpoint",
            expected="the same text tokens and logits",
            got=f"same tokens: {result.same_tokens}, largest difference {figure}",
            where="--check",
        )
