"""`diglot export`: a checkpoint as a folder that stock `transformers` loads."""

from pathlib import Path

from jsonargparse import ArgumentParser

from diglot.cli.unread import Unread
from diglot.config.parts import known_parts
from diglot.config.paths import InCheckpoint, InPath, OutFolder, OutJson

HERE = "out"  # --check without a folder: the one just written
UNREAD = (
    Unread(
        options=("checkpoint", "to", "out", "adapter", "dtype", "shard_size", "check", "images"),
        beside="--list",
        holds=lambda values: values["list"] is not None,
    ),
    Unread(
        options=("images",),
        beside="an export without --check",
        holds=lambda values: values["check"] is None,
    ),
)


def export(
    checkpoint: InCheckpoint | None,
    *,
    to: str | None,
    out: OutFolder | None,
    adapter: bool,
    dtype: str | None,
    shard_size: str,
    check: str | None,
    images: list[InPath],
    list: list[str] | None,
    json: OutJson | None,
) -> None:
    """Write a checkpoint as a stock folder, which needs nothing of diglot any more.

    The folder holds weights, config, processor, tokenizer, chat template, generation config and a
    model card. A container that cannot hold the model exactly is refused, with all reasons.

    --check runs the folder with stock transformers in a process of its own, on photographs of odd
    shapes, and compares tokens and logits with the checkpoint's. --list says which containers can
    hold a recipe or a checkpoint, and why the others cannot.

    Examples:
        diglot export --list full/llava15_7b_caption
        diglot export --list full/mmcs_qwen25_3b ablations/mmcs_ours_aya_vision
        diglot export runs/llava/model --to llava --out exported/llava --check
        diglot export runs/sft/model --to llava --out exported/sft --adapter --check
        diglot export --check exported/llava
    """
    from diglot.cli.export_run import run_export  # slow to load: not for --help

    run_export(
        checkpoint=checkpoint,
        to=to,
        out=out,
        adapter=adapter,
        dtype=dtype,
        shard_size=shard_size,
        check=out if check == HERE else Path(check) if check else None,
        images=images,
        list=list,
        json=json,
    )


def add_arguments(parser: ArgumentParser) -> None:
    """The arguments by hand: --check with a folder or without."""
    known = ", ".join(known_parts("diglot.models.export.containers"))
    parser.add_argument(
        "checkpoint",
        nargs="?",
        type=InCheckpoint,
        default=None,
        help="folder that `diglot train` wrote",
    )
    parser.add_argument(
        "--to",
        type=str | None,
        default=None,
        help=f"container: {known}, or a dotted path of your own",
    )
    parser.add_argument("--out", type=Path | None, default=None, help="folder to write")
    parser.add_argument(
        "--dtype",
        choices=["float32", "bfloat16", "float16"],
        default=None,
        help="of the weights written; the language model's where left out",
    )
    parser.add_argument(
        "--adapter",
        action="store_true",
        help="leave LoRA unmerged: OUT is the base, OUT/adapter a folder of peft",
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
        "--images", nargs="*", type=InPath, default=[], help="photographs for --check"
    )
    parser.add_argument(
        "--list",
        nargs="+",
        default=None,
        help="a recipe, with overlays behind it, or a checkpoint: which containers can hold it",
    )
    parser.add_argument(
        "--json", type=OutJson | None, default=None, help="write the result here too"
    )
