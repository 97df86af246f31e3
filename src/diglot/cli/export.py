"""`diglot export`: a checkpoint as a folder that stock `transformers` loads."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser
from rich.console import Console

from diglot.config.recipes import read
from diglot.core.errors import ConfigError
from diglot.files import write_json
from diglot.models.checkpoint import CONFIG, load_config
from diglot.models.export.check import CheckResult
from diglot.models.export.container import compare_containers, known_containers
from diglot.models.export.design import read_design
from diglot.models.export.flow import check_folder, export_checkpoint
from diglot.models.vlm import VLMConfig
from diglot.train.config import stage_config

HERE = "out"  # --check without a folder: the one just written


def export(
    checkpoint: Path | None,
    *,
    to: str | None,
    out: Path | None,
    dtype: str | None,
    shard_size: str,
    check: str | None,
    images: list[Path],
    list: str | None,
    json: Path | None,
) -> None:
    """Write a checkpoint as a stock folder, which needs nothing of diglot any more.

    The folder holds weights, config, processor, tokenizer, chat template, generation config and a
    model card. A container that cannot hold the model exactly is refused, with all reasons.

    --check runs the folder with stock transformers in a process of its own, on photographs of odd
    shapes, and compares tokens and logits with the checkpoint's. --list says which containers can
    hold a recipe or a checkpoint, and why the others cannot.

    Examples:
        diglot export --list full/llava15_7b_caption
        diglot export runs/llava/model --to llava --out exported/llava --check
        diglot export --check exported/llava
    """
    console = Console(file=sys.stdout, highlight=False)
    if list is not None:
        _list_containers(list, console, json)
        return
    if checkpoint is not None and out is not None and to is not None:
        export_checkpoint(checkpoint, to, out, dtype=dtype, shard_size=shard_size)
        console.print(f"exported    {out}", soft_wrap=True, markup=False)
    elif check in (None, HERE):
        raise ConfigError(
            "nothing to do", expected="CHECKPOINT --to CONTAINER --out DIR, --check DIR, or --list"
        )
    if check is not None:
        folder = out if check == HERE and out is not None else Path(check)
        _report_check(check_folder(folder, images, checkpoint=checkpoint), console, json)


def add_arguments(parser: ArgumentParser) -> None:
    """The arguments by hand: --check with a folder or without."""
    known = ", ".join(known_containers())
    parser.add_argument(
        "checkpoint", nargs="?", type=Path, default=None, help="folder that `diglot train` wrote"
    )
    parser.add_argument("--to", type=str | None, default=None, help=f"container: {known}")
    parser.add_argument("--out", type=Path | None, default=None, help="folder to write")
    parser.add_argument(
        "--dtype",
        choices=["float32", "bfloat16", "float16"],
        default=None,
        help="of the weights written; the language model's where left out",
    )
    parser.add_argument("--shard_size", default="5GB", help="largest weights file, as 5GB")
    parser.add_argument(
        "--check",
        nargs="?",
        const=HERE,
        default=None,
        help="compare with the checkpoint",
    )
    parser.add_argument(
        "--images", nargs="*", type=Path, default=[], help="photographs for --check"
    )
    parser.add_argument(
        "--list", default=None, help="a recipe or checkpoint: which containers can hold it"
    )
    parser.add_argument("--json", type=Path | None, default=None, help="also write the result here")


def _list_containers(name: str, console: Console, json: Path | None) -> None:
    design = read_design(_model_of(name))
    misfits = compare_containers(design)
    for container, reasons in misfits.items():
        summary = "holds it" if not reasons else "; ".join(reasons)
        console.print(f"{container:<16} {summary}", soft_wrap=True, markup=False)
    for unread in design.unread:
        console.print(f"not compared     {unread}", soft_wrap=True, markup=False)
    if json:
        write_json(json, {"containers": misfits, "unread": design.unread})


def _model_of(name: str) -> VLMConfig:
    """The model of a checkpoint's folder, or of a recipe."""
    if (Path(name) / CONFIG).exists():
        return load_config(Path(name))
    recipe: dict[str, Any] = {"data": "data", "out": "out", **read(name, option="--list")}
    return stage_config(recipe, where=name).model


def _report_check(result: CheckResult, console: Console, json: Path | None) -> None:
    """Raises ConfigError where the folder does something else than its checkpoint."""
    if json:
        write_json(json, asdict(result) | {"passed": result.passed})
    difference = result.largest_difference
    figure = "not comparable" if difference is None else f"{difference:.1e}"
    console.print(
        f"check       {result.images} images, largest difference of logits {figure} "
        f"(allowed {result.tolerance:.0e})",
        soft_wrap=True,
    )
    if result.pixel_difference is not None:
        console.print(f"pixels      largest difference {result.pixel_difference:.1e}")
    for answer in result.answers:
        console.print(f"generated   {answer!r}", soft_wrap=True, markup=False)
    if result.lacking:
        console.print(
            f"not checked its processor, which cannot be loaded here: {result.lacking}",
            soft_wrap=True,
            markup=False,
        )
    if not result.passed:
        raise ConfigError(
            "the export does something else than its checkpoint",
            expected="the same text tokens and logits",
            got=f"same tokens: {result.same_tokens}, largest difference {figure}",
            where="--check",
        )
