"""Every option of every part of every kind stands in the help of some verb."""

import ast
import importlib
from collections import defaultdict
from dataclasses import fields
from pathlib import Path

import pytest
from docstring_parser import parse_from_object
from jsonargparse import ArgumentParser

import diglot
from diglot.cli.main import VERBS, add_verb_arguments
from diglot.config.part_help import PartHelp, part_help
from diglot.config.parts import known_parts
from diglot.core.errors import ConfigError

ROOT = Path(diglot.__file__).parent


def part_folders() -> dict[str, list[str]]:
    """Folders whose public files have a Config and a build, read off the source."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted(ROOT.rglob("*.py")):
        if path.name.startswith("_"):
            continue
        body = ast.parse(path.read_text("utf-8")).body
        names = {n.name for n in body if isinstance(n, ast.ClassDef | ast.FunctionDef)}
        if {"Config", "build"} <= names:
            package = ".".join(("diglot", *path.parent.relative_to(ROOT).parts))
            found[package].append(path.stem)
    return dict(found)


FOLDERS = part_folders()
HELPS: dict[str, list[PartHelp]] = defaultdict(list)
for verb in VERBS:
    parser = ArgumentParser()
    add_verb_arguments(parser, verb, importlib.import_module(f"diglot.cli.{verb}"))
    for action in parser._actions:
        if isinstance(action, PartHelp):
            HELPS[action.kind.package].append(action)


def test_every_folder_of_parts_has_a_help() -> None:
    assert set(FOLDERS) == set(HELPS)


@pytest.mark.parametrize("package", FOLDERS)
def test_a_folder_of_parts_holds_nothing_else(package: str) -> None:
    assert known_parts(package) == FOLDERS[package]


@pytest.mark.parametrize(
    ("package", "name"), [(package, name) for package, names in FOLDERS.items() for name in names]
)
def test_every_option_stands_in_help_with_its_docstring(package: str, name: str) -> None:
    config = importlib.import_module(f"{package}.{name}").Config
    described = {p.arg_name: p.description for c in config.__mro__[::-1] for p in parse(c)}
    for action in HELPS[package]:
        shown = " ".join(part_help(action.kind, name, action.under).split())
        for field in fields(config):
            if field.init and not field.name.startswith("_"):
                assert f".{field.name}" in shown
                assert " ".join(str(described[field.name]).split())[:25] in shown


def parse(kind: type) -> list:
    return [] if kind is object else parse_from_object(kind).params


@pytest.mark.parametrize("package", FOLDERS)
def test_a_wrong_name_brings_the_nearest(package: str) -> None:
    action, name = HELPS[package][0], FOLDERS[package][0]
    with pytest.raises(ConfigError, match=f"did you mean '{name}'"):
        part_help(action.kind, f"{name}x", action.under)
