"""`diglot check`: what of a dataset training would trip on."""

from jsonargparse import ArgumentParser

from diglot.cli.unread import Unread
from diglot.config.paths import InData, OutFile, OutFolder, OutJson
from diglot.config.ranges import PositiveInt, Workers
from diglot.data.checks.model_limits import Grid
from diglot.data.images import MAX_PIXELS

UNREAD = (
    Unread(
        options=("tokenizer", "max_tokens", "grid"),
        beside="--recipe, which has its own",
        holds=lambda values: values["recipe"] is not None,
    ),
    Unread(
        options=("drop_duplicates",),
        beside="a check without --fix",
        holds=lambda values: values["fix"] is None,
    ),
)
FLAGS = {
    "drop_duplicates": "with --fix: leave out near duplicates too, all but the first",
    "strict": "exit with status 1 where a record or a part of one is unusable",
}


def check(
    data: InData,
    split: str = "train",
    recipe: str | None = None,
    tokenizer: str | None = None,
    max_tokens: PositiveInt | None = None,
    grid: Grid | None = None,
    duplicate_bits: int = 3,
    max_pixels: PositiveInt = MAX_PIXELS,
    rejected: OutFile | None = None,
    fix: OutFolder | None = None,
    drop_duplicates: bool = False,
    strict: bool = False,
    workers: Workers | None = None,
    json: OutJson | None = None,
) -> None:
    """Read a whole dataset and report every fault of every record.

    Images that cannot be read, are cut off, too large or near duplicates; boxes outside, empty, or
    of another unit; spans that do not spell their phrase; masks of another size; conversations out
    of order or whose images and placeholders differ in number; and, for a chosen model, captions
    too long for it and objects that cover no visual token.

    Examples:
        diglot check data/scenes

        diglot check data/scenes --recipe embedded/code_switch --json faults.json --strict

        diglot check data/scenes --fix data/cleaned

    Args:
        data: A dataset folder.
        split: Which split of it.
        recipe: Check against the model of this recipe of `diglot train`.
        tokenizer: Without a recipe: the tokenizer (a folder or a hub name) that counts tokens.
        max_tokens: Without a recipe: most tokens that the model reads at once.
        grid: Without a recipe: the encoder's grid, such as --grid.patch_px 14
            --grid.preprocess.image_px 336.
        duplicate_bits: Hashes of near duplicates differ in at most so many of 64 bits; -1: do not
            look for them.
        max_pixels: Larger images are not decoded.
        rejected: Write the id of every unusable record to this file, a line each.
        fix: Write a copy without unusable records and parts to this folder.
        drop_duplicates: With --fix: leave out near duplicates too, all but the first.
        strict: Exit with status 1 where a record or a part of one is unusable.
        workers: Processes that check; 0: this one alone.
        json: Write the counts to this file too.
    """
    from diglot.cli.check_run import run_check  # slow to load: not for --help

    run_check(
        data,
        split,
        recipe=recipe,
        tokenizer=tokenizer,
        max_tokens=max_tokens,
        grid=grid,
        duplicate_bits=duplicate_bits,
        max_pixels=max_pixels,
        rejected=rejected,
        fix=fix,
        drop_duplicates=drop_duplicates,
        strict=strict,
        workers=workers,
        json=json,
    )


def add_arguments(parser: ArgumentParser) -> None:
    """The arguments of `check`; its flags need no value."""
    parser.add_function_arguments(check, as_group=False, as_positional=True, skip=set(FLAGS))
    for name, help in FLAGS.items():
        kind = {"type": bool, "default": False, "nargs": "?", "const": True}
        parser.add_argument(f"--{name}", help=help, **kind)
