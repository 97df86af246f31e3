"""Choosing a part by its file name, or by a dotted path to a module of the user's own.

A part is a module with a frozen dataclass `Config` and a function `build(config, ...)`.
"""

import importlib
import pkgutil
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

from jsonargparse import ArgumentError, ArgumentParser

from diglot.config.messages import one_line
from diglot.core.errors import ConfigError


def known_parts(package: str) -> list[str]:
    """File names of the parts that live in `package` ("diglot.objectives"), sorted."""
    folder = importlib.import_module(package).__path__
    return sorted(m.name for m in pkgutil.iter_modules(folder) if not m.name.startswith("_"))


def load_part(package: str, name: str) -> ModuleType:
    """The module of part `name`; a name with a dot is the user's own module, found from the cwd.

    Raises ConfigError for an unknown name (it lists the known ones) or a module that is no part.
    """
    if "." in name:
        module = _import_own(name)
    elif name in known_parts(package):
        module = importlib.import_module(f"{package}.{name}")
    else:
        raise ConfigError(
            f"no part {name!r} in {package}",
            expected="one of " + ", ".join(known_parts(package)) + ", or a dotted path of your own",
        )
    missing = [a for a in ("Config", "build") if not hasattr(module, a)]
    if missing:
        raise ConfigError(f"module {name!r} is not a part: it has no {' and no '.join(missing)}")
    return module


def _import_own(name: str) -> ModuleType:
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(name)
    except (ImportError, TypeError) as error:  # TypeError: a relative path such as ".mlp"
        raise ConfigError(
            f"cannot import {name!r}: {error}",
            fix="Run from the folder that holds it, or install it.",
        ) from error


def part_config(module: ModuleType, settings: Mapping[str, Any], *, where: str) -> Any:
    """`module.Config` from plain settings, types checked.

    Raises ConfigError naming `where` and the field for an unknown, missing or ill-typed one.
    """
    known = list(module.Config.__dataclass_fields__)
    unknown = sorted(set(settings) - set(known))
    if unknown:
        raise ConfigError(
            f"unknown field {unknown[0]!r}", expected="one of " + ", ".join(known), where=where
        )
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(module.Config, "part")
    try:
        parsed = parser.parse_object({"part": dict(settings)})
        made: Any = parser.instantiate_classes(parsed)
        return made.part
    except (ArgumentError, TypeError, ConfigError) as error:
        told = one_line(str(error)).removeprefix("part.")
        raise ConfigError(told, where=where) from error


def split_part(part: str | Mapping[str, Any], *, where: str) -> tuple[str, dict[str, Any]]:
    """("name", settings) of a part written as a bare name or as {name: ..., field: ...}."""
    if isinstance(part, str):
        return part, {}
    settings = dict(part) if isinstance(part, Mapping) else {}
    name = settings.pop("name", None)
    if not isinstance(name, str):
        raise ConfigError("a part needs its name", expected="name: ...", got=part, where=where)
    return name, settings


def resolved_part(package: str, part: str | Mapping[str, Any], *, where: str) -> dict[str, Any]:
    """A part with all its settings spelled out, the defaults too: {name: ..., field: ...}."""
    name, settings = split_part(part, where=where)
    config = part_config(load_part(package, name), settings, where=where)
    return {"name": name, **asdict(config)}


def build_part(package: str, part: str | Mapping[str, Any], *, where: str, **deps: Any) -> Any:
    """Load, configure and build a part in one call."""
    name, settings = split_part(part, where=where)
    module = load_part(package, name)
    return module.build(part_config(module, settings, where=where), **deps)
