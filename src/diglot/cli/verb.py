"""A verb's parser: its help from its function's docstring, its options from the signature."""

import inspect
from collections.abc import Callable
from typing import Any

from jsonargparse import ArgumentParser

from diglot.config.help_format import KeepLines
from diglot.config.read import build_values, nest_value
from diglot.config.recipes import merge_recipes
from diglot.core.errors import ConfigError

OVERWRITE = "--overwrite"  # of every verb


def verb_parser(verb: str, function: Callable[..., None]) -> ArgumentParser:
    """A parser without options yet; `verb` is how it is called: "select fit"."""
    about = inspect.getdoc(function) or ""
    return ArgumentParser(
        prog=f"diglot {verb}",
        description=about.split("\nArgs:")[0],
        epilog=f"{OVERWRITE} replaces named files that are there and that diglot did not write.",
        formatter_class=KeepLines,
        exit_on_error=False,
    )


def parse_arguments(parser: ArgumentParser, args: list[str]) -> dict[str, Any]:
    """The values of all options, configs built. Raises ConfigError for arguments that are wrong."""
    args = _unname_positionals(parser, args)
    values = build_values(parser, lambda: parser.parse_args(args))
    return {k: _nest_names(v) if isinstance(v, dict) else v for k, v in values.items()}


def _nest_names(settings: dict[str, Any]) -> dict[str, Any]:
    """{"presence.limit": 50}, as jsonargparse reads --options.presence.limit 50, by level."""
    result: dict[str, Any] = {}
    for name, value in settings.items():
        result = merge_recipes(result, nest_value(str(name), value), parts={})
    return result


def _unname_positionals(parser: ArgumentParser, args: list[str]) -> list[str]:
    """`--data X`, where the verb takes DATA by its place, as X in that place.

    So that a thing has one name in every verb. Only the first ones may be named: the places of
    the others would not be known.
    """
    places = [a.dest for a in parser._actions if not a.option_strings and a.nargs is None]
    rest, values = list(args), list[str]()
    for name in places:
        names = [f"--{name}"] + ["--data"] * (name == "source")  # what `view` shows
        at = next((i for i, a in enumerate(rest) if a.partition("=")[0] in names), None)
        if at is None:
            break
        word, equals, value = rest.pop(at).partition("=")
        if not equals:
            if at == len(rest):
                raise ConfigError(f"{word} needs a value")
            value = rest.pop(at)
        values.append(value)
    return [*values, *rest]
