"""A verb's parser: its help from its function's docstring, its options from the signature."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentError, ArgumentParser

from diglot.config.help_format import KeepLines
from diglot.config.messages import one_line
from diglot.config.read import cause_of, option_names
from diglot.core.errors import ConfigError


def verb_parser(verb: str, function: Callable[..., None]) -> ArgumentParser:
    """A parser without options yet; `verb` is how it is called: "select fit"."""
    about = inspect.getdoc(function) or ""
    return ArgumentParser(
        prog=f"diglot {verb}",
        description=about.split("\nArgs:")[0],
        formatter_class=KeepLines,
        exit_on_error=False,
    )


def parse_arguments(parser: ArgumentParser, args: list[str]) -> dict[str, Any]:
    """The values of all options, configs built. Raises ConfigError for arguments that are wrong."""
    try:
        built: Any = parser.instantiate_classes(parser.parse_args(args))
    except (ArgumentError, ValueError, TypeError) as error:
        raise cause_of(error) or ConfigError(one_line(str(error), option_names(parser))) from error
    given = built.as_dict()
    return {k: v.expanduser() if isinstance(v, Path) else v for k, v in given.items()}
