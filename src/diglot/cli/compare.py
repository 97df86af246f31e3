"""`diglot compare`: recipes on the same data, sizes and seeds, in one table and one page."""

import json as json_text
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser
from rich.console import Console

from diglot.cli.progress import bars
from diglot.compare.config import CompareConfig
from diglot.compare.study import open_study
from diglot.data.shards import replace_text
from diglot.train.recipe import merge, read


def compare(**settings: Any) -> None:
    """Train rows of recipes on the same data, sizes and seeds, measure all, and show them together.

    A comparison is a YAML file (--config, again and again: later ones lie over earlier ones), your
    own or one that diglot carries (compare/objectives, compare/data_efficiency, ...); options lie
    over it. Rows that share a frozen encoder share its features. Writes results.json, results.csv
    and report.html into --out, anew after every training.

    A comparison that was stopped goes on where it was when the same command is given again.

    Examples:
        diglot compare --config compare/objectives --data data/scenes --out runs/objectives
        diglot compare --config compare/objectives --data data/scenes --out runs/objectives \\
            --report_only true
    """
    json: Path | None = settings.pop("json")
    report_only: bool = settings.pop("report_only")
    study = open_study(CompareConfig(**settings))
    if report_only:
        results = study.write()
    else:
        with bars() as tell:
            results = study.run(tell)
    console = Console()
    console.print(f"figures   {study.out / 'results.json'}", soft_wrap=True)
    if json:
        replace_text(json, json_text.dumps(results, indent=2) + "\n")


def add_arguments(parser: ArgumentParser) -> None:
    """--config, and every field of CompareConfig as an option."""
    parser.add_argument("--config", action="config", help="a YAML comparison; may repeat")
    parser.add_class_arguments(CompareConfig, as_group=False)
    parser.add_argument(
        "--report_only", type=bool, default=False, help="train nothing: table and page as of now"
    )
    parser.add_argument(
        "--json", type=Path | None, default=None, help="also write the results to this file"
    )


def rewrite(args: list[str]) -> list[str]:
    """All --config files as one. Raises ConfigError for one that cannot be read."""
    told: Any = {}
    rest: list[str] = []
    words = iter(args)
    for word in words:
        name, equals, value = word.partition("=")
        if name == "--config":
            told = merge(told, read(value if equals else next(words, "")))
        else:
            rest.append(word)
    return [f"--config={json_text.dumps(told)}", *rest] if told else rest
