"""Help on parts: which there are, and the options of each (--objective.help code_switch)."""

import inspect
from argparse import SUPPRESS, Action
from collections.abc import Mapping
from typing import Any

from jsonargparse import ArgumentParser

from diglot.config.help_format import KeepLines
from diglot.config.parts import Part, known_parts

BESIDE = {
    "weight": "of its loss: a number, or schedule (constant, linear, cosine, step), start, end, "
    "begin, until",
    "share": "documents for each document of `objective`, evenly in every batch",
}


def add_part_help(parser: ArgumentParser, **kinds: type[Part]) -> None:
    """Name the known parts in the help of options that choose one, and add their --OPTION.help.

    `kinds` says which option takes which kind; dots are written as "__" (model__encoder).
    """
    for name, kind in kinds.items():
        option = name.replace("__", ".")
        action = next(a for a in parser._actions if f"--{option}" in a.option_strings)
        known = ", ".join(known_parts(kind.package))
        action.help = (
            f"{action.help} One of {known}, or a module of your own. "
            f"`--{option}.help NAME` shows its options."
        )
        parser.add_argument(
            f"--{option}.help",
            action=PartHelp,
            kind=kind,
            metavar="NAME",
            help=f"show the options of one of {known}",
        )


def hide_group_files(parser: ArgumentParser) -> None:
    """Leave "--optim CONFIG: path to a configuration file" out of help: --config is for files."""
    for action in parser._actions:
        if action.help == "Path to a configuration file.":
            action.help = SUPPRESS


class PartHelp(Action):
    """Print the options of the part that is named, and stop."""

    def __init__(self, *args: Any, kind: type[Part], **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "default": SUPPRESS})
        self.kind = kind

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: Any = None) -> None:
        option = str(option_string).removeprefix("--").removesuffix(".help")
        print(part_help(self.kind, str(values), option))
        raise SystemExit(0)


def part_help(kind: type[Part], name: str, option: str) -> str:
    """The help of one part: what it is, and each of its options with type and default.

    Raises ConfigError for an unknown part.
    """
    module = kind(name, where=f"--{option}").module
    under = f"{option}.{name}" if option in ("plus", "mix") else option
    about = inspect.getdoc(module) or ""
    parser = ArgumentParser(
        prog=f"--{under}" if under != option else f"--{option} {name}",
        usage="%(prog)s [options]",
        description=about,
        formatter_class=KeepLines,
        add_help=False,
    )
    parser.add_class_arguments(module.Config, under)
    hide_group_files(parser)
    _add_beside(parser, kind.beside, under)
    return parser.format_help()


def _add_beside(parser: ArgumentParser, beside: Mapping[str, Any], under: str) -> None:
    for name, default in beside.items():
        parser.add_argument(f"--{under}.{name}", default=default, help=BESIDE.get(name, ""))
