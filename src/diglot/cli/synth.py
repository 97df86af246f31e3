"""`diglot synth`: a grounded dataset from plain images."""

from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser
from rich.console import Console
from rich.table import Table

from diglot.cli.options import read_settings
from diglot.cli.progress import show_progress
from diglot.files import write_json
from diglot.synth.config import SynthConfig, merge_recipe
from diglot.synth.run import run_synthesis
from diglot.synth.source import open_source


def synth(
    images: Path, *, out: Path, split: str = "train", json: Path | None = None, **settings: Any
) -> None:
    """Caption, ground and segment images into a dataset that `diglot train` reads.

    The steps stand in a recipe (--config, again and again: later ones override earlier ones); an
    option sets a field of a step. A killed run resumes when the same command is given
    again. Needs diglot[synth].

    Examples:
        diglot synth photos --config synth/embedded --out data/photos

        diglot synth photos --config synth/embedded --out data/sure --steps.score.min_score 0.7

        diglot synth photos --config synth/mmcs --out data/mmcs --engine ray --workers 8
    """
    config = SynthConfig(**settings)
    with show_progress() as report:
        funnel = run_synthesis(open_source(images), out, config, split=split, report=report)
    Console().print(_table(funnel))
    if json:
        write_json(json, funnel)


def add_arguments(parser: ArgumentParser) -> None:
    """The arguments, --config, and every field of SynthConfig as an option."""
    parser.add_argument(
        "--images",
        type=Path,
        required=True,
        help="folder of pictures or WebDataset tars, or a dataset folder; the first word too",
    )
    parser.add_argument("--out", type=Path, required=True, help="dataset folder to make")
    parser.add_argument("--split", type=str, default="train", help="which split of it")
    parser.add_argument("--config", help="a YAML recipe; may repeat, later ones lie over earlier")
    parser.add_argument("--print_config", action="store_true", help="show the settings and stop")
    parser.add_class_arguments(SynthConfig, as_group=False)
    parser.add_argument("--json", type=Path | None, help="also write the funnel to this file")


def read_arguments(parser: ArgumentParser, args: list[str]) -> dict[str, Any]:
    """The settings of recipes and options. Raises ConfigError for what is wrong in either."""
    if args and not args[0].startswith("-"):
        args = [f"--images={args[0]}", *args[1:]]
    return read_settings(parser, args, merge=merge_recipe, open_under=("steps",))


def _table(funnel: dict[str, Any]) -> Table:
    """What came out of each step, and what was lost there for which reason."""
    table = Table(title=f"{funnel['images']} images, {funnel['samples']} samples")
    for column in ("step", "images", "images/s", "left out"):
        table.add_column(column)
    for name, step in funnel["steps"].items():
        rate = f"{step['images'] / step['seconds']:.1f}" if step["seconds"] else ""
        lines = [f"{count} images: {reason}" for reason, count in step["dropped"].items()]
        lines += [f"{count} regions: {reason}" for reason, count in step["lost"].items()]
        table.add_row(name, str(step["images"]), rate, "\n".join(lines))
    return table
