"""Plain settings into a configuration's dataclass, by jsonargparse, with one-line messages."""

import copy
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from jsonargparse import ArgumentError, ArgumentParser, set_parsing_settings

from diglot.config.messages import one_line
from diglot.config.ranges import check_magnitudes, plain_numbers
from diglot.core.errors import ConfigError, DiglotError

# Fields are documented by a docstring under them; help shows it.
set_parsing_settings(docstring_parse_attribute_docstrings=True)

T = TypeVar("T")
ROOT = "settings"


def read_dataclass(kind: type[T], settings: Mapping[str, Any], *, where: str | None) -> T:
    """An instance of the dataclass `kind`, every field's type checked, nested ones too.

    Raises ConfigError naming `where` and the field for an unknown, missing or ill-typed one.
    """
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(kind, ROOT)
    try:
        return instantiate(parser, {ROOT: dict(settings)})[ROOT]
    except DiglotError as error:
        raise ConfigError(_without_root(str(error)), where=where) from error


def instantiate(parser: ArgumentParser, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The values of all the parser's options, dataclasses built, out of plain nested settings.

    Raises ConfigError, or what a dataclass's own check raised, in one line that names the field.
    """
    # a copy: lists are changed in their places
    return build_values(parser, lambda: parser.parse_object(copy.deepcopy(dict(settings))))


def build_values(parser: ArgumentParser, parse: Callable[[], Any]) -> dict[str, Any]:
    """The same of what `parse` makes of settings, or of the words of a command line."""
    try:
        parsed = parse()
        check_magnitudes(parsed.as_dict())
        built: Any = parser.instantiate_classes(parsed)
    except (ArgumentError, ValueError, TypeError) as error:
        raise cause_of(error) or ConfigError(one_line(str(error), option_names(parser))) from error
    given = {name: plain_numbers(value) for name, value in built.as_dict().items()}
    return {k: v.expanduser() if isinstance(v, Path) else v for k, v in given.items()}


def nest_value(name: str, value: Any) -> dict[str, Any]:
    """("optim.lr", 1) as {"optim": {"lr": 1}}."""
    for key in reversed(name.split(".")):
        value = {key: value}
    return value


def flatten_settings(settings: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Nested settings by their dotted names."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            flat |= flatten_settings(value, f"{above}{name}.")
        else:
            flat[above + name] = value
    return flat


def expand_home(config: Any, *names: str) -> None:
    """Make "~" the user's home folder in fields of a frozen dataclass that hold paths as text.

    Raises ConfigError for an empty one, which would mean the folder one is in.
    """
    for name in names:
        value = getattr(config, name)
        if value == "" and getattr(type(config), name, None) != "":  # "" by default means none
            raise ConfigError("empty; expected a path", where=name)
        if isinstance(value, str) and value.startswith("~"):
            object.__setattr__(config, name, str(Path(value).expanduser()))


def cause_of(error: BaseException) -> DiglotError | None:
    """The check of ours that lies behind a parser's error: its message is the clearest."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, DiglotError):
            return cause
        cause = cause.__cause__ or cause.__context__
    return None


def option_names(parser: ArgumentParser) -> list[str]:
    """Names of a parser's options, without dashes."""
    names = [name for action in parser._actions for name in action.option_strings]
    return [name.lstrip("-") for name in names if not name.endswith("help")]


def _without_root(message: str) -> str:
    return re.sub(rf"(?<![\w.]){ROOT}\.", "", message)
