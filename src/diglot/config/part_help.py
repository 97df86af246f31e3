"""Help on parts: which there are, and the options of each (--objective.help code_switch)."""

import inspect
from argparse import SUPPRESS, Action
from collections.abc import Mapping, Sequence
from typing import Any

from jsonargparse import ArgumentParser

from diglot.config.help_format import KeepLines
from diglot.config.parts import Part, known_parts
from diglot.core.errors import ConfigError

BESIDE = {
    "weight": "of its loss: a number, or schedule (constant, linear, cosine, step), start, end, "
    "begin, until",
    "share": "documents for each document of `objective`, evenly in every batch",
}


def add_part_help(
    parser: ArgumentParser, option: str, kind: type[Part], *, under: str = ""
) -> None:
    """Name the known parts in the help of an option that chooses one, and add its --OPTION.help.

    `under` is how the part's own options begin, with {name} for the part: "plus.{name}". By default
    it is the option. Where no option is called so, --OPTION.help comes alone.
    """
    known = ", ".join(known_parts(kind.package))
    for action in parser._actions:
        if f"--{option}" in action.option_strings:
            action.help = (
                f"{action.help} One of {known}, or a module of your own. "
                f"`--{option}.help NAME` shows its options."
            )
    parser.add_argument(
        f"--{option}.help",
        action=PartHelp,
        kind=kind,
        under=under or option,
        metavar="NAME",
        help=f"show the options of one of {known}",
    )


def refuse_misplaced(parser: ArgumentParser, args: Sequence[str]) -> None:
    """Raise ConfigError for a part's option given under the option that chooses the part."""
    for action in parser._actions:
        if not isinstance(action, PartHelp):
            continue
        start = action.option_strings[0].removesuffix("help")
        names = [arg.partition("=")[0] for arg in args if arg.startswith(start)]
        wrong = [name for name in names if name != f"{start}help"]
        under = action.under.format(name="NAME")
        if wrong and not f"--{under}.".startswith(start):
            raise ConfigError(
                f"no option {wrong[0]}",
                expected=f"--{under}.{wrong[0].removeprefix(start)}, if the part has it",
                fix=f"{start}help NAME shows the options of each.",
            )


def hide_group_files(parser: ArgumentParser) -> None:
    """Leave "--optim CONFIG: path to a configuration file" out of help: --config is for files."""
    for action in parser._actions:
        if action.help == "Path to a configuration file.":
            action.help = SUPPRESS


class PartHelp(Action):
    """Print the options of the part that is named, and stop."""

    def __init__(self, *args: Any, kind: type[Part], under: str, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "default": SUPPRESS})
        self.kind, self.under = kind, under

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: Any = None) -> None:
        print(part_help(self.kind, str(values), self.under))
        raise SystemExit(0)


def part_help(kind: type[Part], name: str, under: str) -> str:
    """The help of one part: what it is, and each of its options with type and default.

    `under` is how its options begin; {name} in it stands for the part's name. Raises ConfigError
    for an unknown part.
    """
    begin = under.replace("{name}", name.rpartition(".")[2])
    module = kind(name, where=f"--{begin}").module
    parser = ArgumentParser(
        prog=f"--{begin} {name}" if begin == under else f"--{begin}",
        usage="%(prog)s [options]",
        description=inspect.getdoc(module) or "",
        formatter_class=KeepLines,
        add_help=False,
    )
    parser.add_class_arguments(module.Config, begin)
    hide_group_files(parser)
    _add_beside(parser, kind.beside, begin)
    return parser.format_help()


def _add_beside(parser: ArgumentParser, beside: Mapping[str, Any], under: str) -> None:
    for name, default in beside.items():
        parser.add_argument(f"--{under}.{name}", default=default, help=BESIDE.get(name, ""))
