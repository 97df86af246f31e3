"""A part: an objective, encoder, projector, ... chosen by its file's name or by a dotted path.

A part is a module with a frozen dataclass `Config` and a function `build(config, ...)`. The names
are the files of a folder: nothing is registered, and a new file is a new part.

jsonargparse's own subclass types do not fit here: they know a class by its name, and ours are all
called Config; their short names exist for imported classes alone, so help would import every part
with torch; and where an overlay changes the class, they keep the fields of the old one that the new
one also has, which would carry one encoder's image_px into another. So a part is a type of its own,
registered with jsonargparse, and its Config is read by jsonargparse.
"""

import difflib
import importlib
import pkgutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, Self

from jsonargparse.typing import register_type

from diglot.config.read import read_dataclass
from diglot.core.errors import ConfigError


def known_parts(package: str) -> list[str]:
    """File names of the parts that live in `package` ("diglot.objectives"), sorted.

    No part is imported for it.
    """
    folder = importlib.import_module(package).__path__
    return sorted(m.name for m in pkgutil.iter_modules(folder) if not m.name.startswith("_"))


def load_part(package: str, name: str, *, where: str | None = None) -> ModuleType:
    """The module of part `name`; a name with a dot is the user's own module, found from the cwd.

    `where` is its place in a configuration, for messages.

    Raises ConfigError for an unknown name (it lists the known ones) or a module that is no part.
    """
    if "." in name:
        module = import_own(name, where)
    elif name in known_parts(package):
        module = importlib.import_module(f"{package}.{name}")
    else:
        raise ConfigError(
            f"no part {name!r} in {package}{suggest_name(name, known_parts(package))}",
            expected="one of " + ", ".join(known_parts(package)) + ", or a dotted path of your own",
            where=where,
        )
    missing = [a for a in ("Config", "build") if not hasattr(module, a)]
    if missing:
        absent = " and no ".join(missing)
        raise ConfigError(f"module {name!r} is not a part: it has no {absent}", where=where)
    return module


def suggest_name(wrong: str, known: Iterable[str]) -> str:
    """ " (did you mean ...?)" for the known name nearest to a wrong one, or nothing."""
    close = difflib.get_close_matches(str(wrong), list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def import_own(name: str, where: str | None) -> ModuleType:
    """A user's own module, found from the cwd. Raises ConfigError where it cannot be imported."""
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(name)
    except (ImportError, TypeError) as error:  # TypeError: a relative path such as ".mlp"
        raise ConfigError(
            f"cannot import {name!r}: {error}",
            where=where,
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
            f"unknown field {unknown[0]!r}{suggest_name(unknown[0], known)}",
            expected="one of " + ", ".join(known) if known else "no field",
            where=where,
        )
    return read_dataclass(module.Config, settings, where=where)


def split_part(part: str | Mapping[str, Any], *, where: str) -> tuple[str, dict[str, Any]]:
    """("name", settings) of a part written as a bare name or as {name: ..., field: ...}."""
    if isinstance(part, str):
        return part, {}
    settings = dict(part) if isinstance(part, Mapping) else {}
    name = settings.pop("name", None)
    if not isinstance(name, str):
        raise ConfigError("a part needs its name", expected="name: ...", got=part, where=where)
    return name, settings


def _expand_home(value: Any) -> Any:
    """A path that begins with the user's home, spelled out; anything else as it is."""
    is_home = isinstance(value, str) and value.startswith("~/")
    return str(Path(value).expanduser()) if is_home else value


class Part(Mapping[str, Any]):
    """A part that was chosen; a subclass says the folder of its kind.

    Its module is imported, and its settings are read, once: when they are first asked for. As a
    mapping it is plain data with every setting spelled out, {name: ..., field: ...}.
    """

    package: ClassVar[str] = ""
    """The folder of this kind: "diglot.objectives"."""
    where: str = "part"
    """Where it stands in a configuration, for messages."""
    beside: ClassVar[Mapping[str, Any]] = {}
    """Settings that stand beside the part's own, with their defaults."""

    def __init__(self, name: str, settings: Mapping[str, Any] | None = None, *, where: str = ""):
        self.name = name
        self.settings = {key: _expand_home(value) for key, value in (settings or {}).items()}
        self.where = where or type(self).where

    def __init_subclass__(cls) -> None:
        register_type(cls, serializer=cls._write_short, deserializer=cls.read)

    @classmethod
    def read(cls, raw: Any, *, where: str = "") -> Self:
        """A part from its name or from {name: ..., field: ...}; one that is read passes.

        Raises ConfigError where there is no name. Wrong settings are found by `check`.
        """
        if isinstance(raw, cls):
            moved = where and where != raw.where
            return cls(raw.name, raw.settings, where=where) if moved else raw
        plain = raw.as_dict() if hasattr(raw, "as_dict") else raw
        name, settings = split_part(plain, where=where or cls.where)
        return cls(name, settings, where=where)

    @classmethod
    def read_all(cls, raw: Mapping[str, Any], *, where: str) -> dict[str, Self]:
        """Parts by a key that is also their name unless they have another; null leaves one out."""
        return {
            key: cls.read(
                {"name": key, **part}
                if isinstance(part, Mapping) and not isinstance(part, Part)
                else part,
                where=f"{where}.{key}",
            )
            for key, part in raw.items()
            if part is not None
        }

    @cached_property
    def module(self) -> ModuleType:
        """The part's module. Raises ConfigError as `load_part`."""
        return load_part(self.package, self.name, where=self.where)

    @cached_property
    def config(self) -> Any:
        """The settings as the module's Config. Raises ConfigError naming place and field."""
        own = {key: value for key, value in self.settings.items() if key not in self.beside}
        config = part_config(self.module, own, where=self.where)
        if clash := [f.name for f in fields(config) if f.name in self.beside]:
            raise ConfigError(f"a part cannot have a field called {clash[0]!r}", where=self.where)
        return config

    def check(self) -> Self:
        """The same part. Raises ConfigError where its module or a setting is wrong."""
        self.config  # noqa: B018  read here for the first time
        return self

    def build(self, **needs: Any) -> Any:
        """What the part's `build` makes of its configuration and of what it needs besides."""
        return self.module.build(self.config, **needs)

    def as_dict(self) -> dict[str, Any]:
        """{name: ..., field: ...}, every setting spelled out, as JSON can hold it."""
        beside = {key: self.settings.get(key, default) for key, default in self.beside.items()}
        return {"name": self.name, **as_plain(self.config), **beside}

    def _write_short(self) -> Any:
        """As people write it, for --print_config and for the defaults in help."""
        return {"name": self.name, **self.settings} if self.settings else self.name

    def __getitem__(self, key: str) -> Any:
        return self.as_dict()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.as_dict())

    def __len__(self) -> int:
        return len(self.as_dict())

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Part):  # without importing the part, where that is enough
            if (self.package, self.name) != (other.package, other.name):
                return False
            if self.settings == other.settings:
                return True
        return Mapping.__eq__(self, other)

    def __hash__(self) -> int:
        return hash((self.package, self.name))

    def __repr__(self) -> str:
        return str(self._write_short())

    def __reduce__(self) -> Any:  # a module cannot be pickled
        return _restore_part, (type(self), self.name, self.settings, self.where)


def _restore_part(kind: type[Part], name: str, settings: dict[str, Any], where: str) -> Part:
    return kind(name, settings, where=where)


def as_plain(value: Any) -> Any:
    """A configuration as dicts, lists and plain values, parts spelled out."""
    if isinstance(value, Part):
        return value.as_dict()
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: as_plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {key: as_plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(as_plain(inner) for inner in value)
    return value


def resolved_part(package: str, part: str | Mapping[str, Any], *, where: str) -> dict[str, Any]:
    """A part with all its settings spelled out, the defaults too: {name: ..., field: ...}."""
    name, settings = split_part(part, where=where)
    config = part_config(load_part(package, name), settings, where=where)
    return {"name": name, **as_plain(config)}


def build_part(package: str, part: str | Mapping[str, Any], *, where: str, **needs: Any) -> Any:
    """Load, configure and build a part in one call."""
    if isinstance(part, Part):
        return part.build(**needs)
    name, settings = split_part(part, where=where)
    module = load_part(package, name)
    return module.build(part_config(module, settings, where=where), **needs)
