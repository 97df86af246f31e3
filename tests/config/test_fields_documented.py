"""Every field of every configuration has a docstring under it, which is what help shows."""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from dataclasses import fields, is_dataclass

import docstring_parser
import pytest
from jsonargparse import ArgumentParser

import diglot
from diglot.core.preprocess import Preprocess
from diglot.models.config import Frame, Trainable


def configurations() -> Iterator[type]:
    """Every dataclass of ours called Config or ...Config, and those that a recipe can set too."""
    yield from (Preprocess, Frame, Trainable)
    for found in pkgutil.walk_packages(diglot.__path__, "diglot."):
        if found.name.endswith("__main__"):
            continue
        try:
            module = importlib.import_module(found.name)
        except ImportError as error:  # an optional dependency that is not here
            assert not str(error.name).startswith("diglot"), found.name  # noqa: PT017
            continue
        for name, kind in inspect.getmembers(module, inspect.isclass):
            own = kind.__module__ == module.__name__ and name.endswith("Config")
            if own and is_dataclass(kind):
                yield kind


def documented(kind: type) -> set[str]:
    """Fields with a docstring, inherited ones too."""
    classes = [c for c in kind.__mro__ if is_dataclass(c)]
    params = [p for c in classes for p in docstring_parser.parse_from_object(c).params]
    return {p.arg_name for p in params if p.description}


ALL = sorted(set(configurations()), key=lambda kind: f"{kind.__module__}.{kind.__qualname__}")


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: f"{kind.__module__}.{kind.__qualname__}")
def test_every_public_field_is_documented(kind: type) -> None:
    public = {field.name for field in fields(kind) if not field.name.startswith("_")}
    assert not public - documented(kind)


def test_the_docstring_reaches_help() -> None:
    parser = ArgumentParser()
    parser.add_class_arguments(Frame, "frame")
    assert "End with the EOS token" in " ".join(parser.format_help().split())
