"""`diglot compare`: recipes on the same data, sizes and seeds, in one table and one page."""

import difflib
import json as json_text
from collections import Counter
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser

from diglot.cli.console import open_console
from diglot.cli.options import read_settings
from diglot.cli.progress import show_progress
from diglot.config.part_help import add_part_help
from diglot.config.paths import OutJson
from diglot.config.recipes import read_recipe
from diglot.core.errors import ConfigError, DataError, first_reason
from diglot.files import claim_folder, replace_text
from diglot.measure.config import MeasurePart
from diglot.studies.compare.config import CompareConfig
from diglot.train.config import StageConfig, merge_stage


def compare(**settings: Any) -> None:
    """Train rows of recipes on the same data, sizes and seeds, measure all, and show them together.

    A comparison is a YAML file (--config, again and again: later ones override earlier ones), your
    own or one bundled with diglot (compare/objectives, ...); options override it. Rows
    that share a frozen encoder share its features. Writes results.json, results.csv, report.html
    and, of several sizes, sizes.png into --out, anew after every training.

    A comparison that was stopped resumes when the same command is given again.

    Examples:
        diglot compare --config compare/objectives --data data/scenes --out runs/objectives
        diglot compare --config compare/objectives --data data/scenes --out runs/objectives \\
            --report_only
    """
    from diglot.studies.compare.study import open_study  # slow to load: not for --help

    json: OutJson | None = settings.pop("json")
    report_only: bool = settings.pop("report_only")
    study = open_study(CompareConfig(**settings))
    if report_only:
        results = study.write()
    else:
        claim_folder(study.out, "compare", known=("results.json", "runs"))
        with show_progress() as report:
            results = study.run(report)
    _show_files(study.out, results)
    if json:
        replace_text(json, json_text.dumps(results, indent=2) + "\n")
    failed = [job for job in results["jobs"] if job["state"] == "failed"]
    if failed and not report_only:
        first = failed[0]
        raise DataError(
            f"{len(failed)} of {len(results['jobs'])} runs failed"
            f"{first_reason(job['reason'] for job in failed)}",
            where=f"{first['row']}, {first['samples']} samples, seed {first['seed']}",
            fix="The same command tries them again.",
        )


def _show_files(out: Path, results: Mapping[str, Any]) -> None:
    console = open_console()
    states = Counter(job["state"] for job in results["jobs"])
    failed = f", {states['failed']} failed" if states["failed"] else ""
    console.print(f"runs      {states['done']} of {states.total()} done{failed}", soft_wrap=True)
    console.print(f"figures   {out / 'results.json'}", soft_wrap=True)
    console.print(f"page      {out / 'report.html'}", soft_wrap=True)


def add_arguments(parser: ArgumentParser) -> None:
    """--config, and every field of CompareConfig as an option."""
    parser.add_argument("--config", help="a YAML comparison; may repeat")
    parser.add_argument("--print_config", action="store_true", help="show the settings and stop")
    parser.add_class_arguments(CompareConfig, as_group=False)
    add_part_help(parser, "measure.measures", MeasurePart, under="measure.measures.{name}")
    parser.add_argument(
        "--report_only",
        type=bool,
        default=False,
        nargs="?",
        const=True,
        help="train nothing: table and page as of now",
    )
    parser.add_argument(
        "--json", type=OutJson | None, default=None, help="also write the results to this file"
    )


def read_arguments(parser: ArgumentParser, args: list[str]) -> dict[str, Any]:
    """The settings of comparisons and options. Raises ConfigError for what is wrong in either."""
    return read_settings(
        parser, args, merge=merge_stage, recipe=_read_comparison, open_under=("measure.measures",)
    )


def _read_comparison(name: str) -> Mapping[str, Any]:
    """A --config file. Raises ConfigError where it cannot be read, or is no comparison."""
    settings = read_recipe(name)
    known = [*(field.name for field in fields(CompareConfig)), "json", "report_only"]
    for key in settings:
        first = str(key).partition(".")[0]
        if first not in known:
            close = difflib.get_close_matches(first, known, n=1)
            fix = f"A recipe of one training is a row: {{rows: {{LABEL: {name}}}}}."
            meant = f" (did you mean {close[0]!r}?)" if close else ""
            one = any(first == field.name for field in fields(StageConfig))
            raise ConfigError(f"unknown field {key!r}{meant}", where=name, fix=fix if one else None)
    return settings
