"""Whatever value a docstring gives a meaning ("0: all", "-1 = none") can be set.

The values are found in the texts that help shows: of fields, and of the options of every verb.
"""

import importlib
import re
from collections.abc import Iterator
from dataclasses import is_dataclass
from pathlib import Path

import docstring_parser
import pytest

from diglot.cli.main import add_verb_arguments
from diglot.cli.verb import parse_arguments, verb_parser
from diglot.config.read import read_dataclass
from diglot.config.recipes import parse_value
from tests.config.test_fields_documented import ALL
from tests.config.test_numbers_bounded import ARGUMENTS, required_settings
from tests.test_foreign_outputs import command_of, make_inputs, needed_by, parsers

# "0 = none" at the start of a sentence or behind a stop, not the number of a table.
VALUE = re.compile(r"(?:^|[;:,.(]\s+)(-?\d+(?:\.\d+)?|null|none|off|auto|all|last|random)\s*[=:]\s")


def documented_fields() -> Iterator[tuple[type, str, str]]:
    """(configuration, field, value) of every meaning that a field's docstring gives."""
    for kind in ALL:
        for owner in filter(is_dataclass, kind.__mro__):
            for param in docstring_parser.parse_from_object(owner).params:
                for value in VALUE.findall(param.description or ""):
                    yield kind, param.arg_name, value


def documented_options() -> Iterator[tuple[str, str, str]]:
    """(verb, option, value) of the same in the help of the command line."""
    for verb, parser in parsers():
        for action in parser._actions:
            for value in VALUE.findall(action.help or ""):
                yield verb, action.dest, value


FIELDS, OPTIONS = list(documented_fields()), list(documented_options())


def test_they_are_found() -> None:
    assert ("check", "duplicate_bits", "-1") in OPTIONS
    assert ("select c-score", "window", "0") in OPTIONS
    assert ("train", "optim.clip", "0") in OPTIONS
    assert len(FIELDS) > 25
    assert len(OPTIONS) > 12


@pytest.mark.parametrize(("kind", "field", "value"), FIELDS)
def test_a_field_takes_it(kind: type, field: str, value: str) -> None:
    settings = required_settings(kind) | {field: parse_value(value, where=field)}
    assert getattr(read_dataclass(kind, settings, where=None), field) == settings[field]


@pytest.mark.parametrize(("verb", "option", "value"), OPTIONS)
def test_the_command_line_takes_it(verb: str, option: str, value: str, tmp_path: Path) -> None:
    text = f"{verb} {ARGUMENTS.get(verb) or needed_by(verb)}"
    verb_name, *words = command_of(f"{verb} --x", text, tmp_path, tmp_path)
    make_inputs(words, tmp_path)
    module = importlib.import_module(f"diglot.cli.{verb_name}")
    parser = verb_parser(verb_name, getattr(module, verb_name))
    add_verb_arguments(parser, verb_name, module)
    read = getattr(module, "read_arguments", parse_arguments)
    given = read(parser, [*words, f"--{option}={value}"])
    for name in option.split("."):
        given = (
            given.get("settings", given)[name] if isinstance(given, dict) else getattr(given, name)
        )
    assert given == parse_value(value, where=option)
