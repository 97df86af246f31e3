"""`diglot synth`: a grounded dataset from plain images."""

import json as json_format
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser
from rich.console import Console
from rich.table import Table

from diglot.cli.progress import show_progress
from diglot.config.recipes import parse, read
from diglot.core.errors import ConfigError
from diglot.files import write_json
from diglot.synth.config import SynthConfig, merge_recipe
from diglot.synth.run import run_synthesis
from diglot.synth.source import open_source


def synth(
    images: Path, *, out: Path, split: str = "train", json: Path | None = None, **settings: Any
) -> None:
    """Caption, ground and segment images into a dataset that `diglot train` reads.

    The steps stand in a recipe (--config, again and again: later ones lie over earlier ones); an
    option sets a field of a step. A killed run goes on where it was when the same command is given
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
        "images", type=Path, help="folder of pictures or WebDataset tars, or a dataset folder"
    )
    parser.add_argument("--out", type=Path, required=True, help="dataset folder to make")
    parser.add_argument("--split", type=str, default="train", help="which split of it")
    parser.add_argument("--config", action="config", help="a YAML recipe; may repeat")
    parser.add_class_arguments(SynthConfig, as_group=False)
    parser.add_argument("--json", type=Path | None, help="also write the funnel to this file")


def rewrite(args: list[str]) -> list[str]:
    """The arguments with all --config files, and options below --steps, as one --config of JSON."""
    recipe: Any = {}
    over: list[tuple[str, Any]] = []
    rest: list[str] = []
    words = iter(args)
    for word in words:
        name, equals, value = word.removeprefix("--").partition("=")
        if not word.startswith("--") or not (name == "config" or name.startswith("steps.")):
            rest.append(word)
            continue
        value = value if equals else next(words, "--")
        if value.startswith("--"):
            raise ConfigError(f"--{name} needs a value")
        if name == "config":
            recipe = merge_recipe(recipe, read(value))
        else:
            over.append((name, parse(value, where=f"--{name}")))
    for name, value in over:  # over every recipe, wherever they stand
        recipe = merge_recipe(recipe, _nested(name, value))
    return [f"--config={json_format.dumps(recipe)}", *rest] if recipe else rest


def _nested(name: str, value: Any) -> dict[str, Any]:
    for key in reversed(name.split(".")):
        value = {key: value}
    return value


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
