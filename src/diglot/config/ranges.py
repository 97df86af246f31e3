"""Numbers with a range, for the fields of configurations: jsonargparse's, and a few of our own.

A field says its range by its type, which help shows and jsonargparse checks; `check_ranges` checks
the same types where a configuration is made in Python. Upper bounds catch slips (a year for a
size), not ambition: they lie far beyond what anything here can do.
"""

import math
import types
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, Union, get_args, get_origin, get_type_hints

from jsonargparse.typing import restricted_number_type

from diglot.core.errors import ConfigError

__all__ = [
    "ClosedUnitInterval",
    "Epochs",
    "ImagePx",
    "NonNegativeFloat",
    "NonNegativeInt",
    "PositiveFloat",
    "PositiveInt",
    "Seed",
    "ShareBelowOne",
    "Workers",
    "check_magnitudes",
    "check_ranges",
    "plain_numbers",
]

if TYPE_CHECKING:  # for the type checker they are plain numbers
    Epochs: TypeAlias = int
    ImagePx: TypeAlias = int
    NonNegativeInt: TypeAlias = int
    PositiveInt: TypeAlias = int
    Seed: TypeAlias = int
    Workers: TypeAlias = int
    ClosedUnitInterval: TypeAlias = float
    NonNegativeFloat: TypeAlias = float
    PositiveFloat: TypeAlias = float
    ShareBelowOne: TypeAlias = float
else:
    from jsonargparse.typing import (
        ClosedUnitInterval,
        NonNegativeFloat,
        NonNegativeInt,
        PositiveFloat,
        PositiveInt,
    )

    Epochs = restricted_number_type("Epochs", int, [(">=", 1), ("<=", 1_000_000)])
    ImagePx = restricted_number_type("ImagePx", int, [(">=", 1), ("<=", 16_384)])
    Seed = restricted_number_type("Seed", int, [(">=", 0), ("<", 2**63)])
    Workers = restricted_number_type("Workers", int, [(">=", 0), ("<=", 1024)])
    ShareBelowOne = restricted_number_type("ShareBelowOne", float, [(">=", 0), ("<", 1)])

LARGEST = 10**9  # of any number that a user may set, but for seeds
SEEDS = ("seed", "seeds")
_WORDS = {">": "above", ">=": "at least", "<": "below", "<=": "at most"}


def check_ranges(config: Any, *, where: str = "") -> None:
    """Raises ConfigError for a field of a dataclass whose number is outside its type's range.

    `where` is the place of the dataclass in the configuration: "optim".
    """
    hints = get_type_hints(type(config))
    for field in fields(config):
        kind = _restricted_type(hints[field.name])
        value = getattr(config, field.name)
        if kind is None or value is None:
            continue
        place = f"{where}.{field.name}" if where else field.name
        try:
            kind(value)
        except (TypeError, ValueError) as error:
            raise ConfigError(range_of(kind), got=value, where=place) from error


def check_magnitudes(settings: Mapping[str, Any]) -> None:
    """Raises ConfigError for a number that is none, is infinite, or lies beyond reason."""
    for name, number in _list_numbers(settings, ""):
        if abs(number) <= LARGEST:
            continue
        if not math.isfinite(number) or name.rpartition(".")[2] not in SEEDS:
            least = f"at least {-LARGEST:,}" if number < 0 else f"at most {LARGEST:,}"
            raise ConfigError(
                f"must be {least if math.isfinite(number) else 'a finite number'}",
                got=number,
                where=name,
            )


def _list_numbers(value: Any, name: str) -> Iterator[tuple[str, float]]:
    """Every number of nested settings with its dotted name; those of a list have the list's.

    A part is no plain dict: its settings are checked when it is read, under its own name.
    """
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _list_numbers(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _list_numbers(inner, name)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield name, value


def plain_numbers(value: Any) -> Any:
    """`value` with int and float for restricted numbers, which some libraries do not take: in a
    dataclass in its place, frozen or not.
    """
    kind: Any = type(value)
    if is_dataclass(kind):
        for field in fields(kind):
            object.__setattr__(value, field.name, plain_numbers(getattr(value, field.name)))
    elif kind in (list, tuple):
        return kind(plain_numbers(inner) for inner in value)
    elif kind is dict:
        return {key: plain_numbers(inner) for key, inner in value.items()}
    elif hasattr(kind, "_restrictions"):
        return int(value) if isinstance(value, int) else float(value)
    return value


def range_of(kind: Any) -> str:
    """ "must be at least 1 and at most 1024", of a restricted type."""
    symbols = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
    bounds = [f"{_WORDS[symbols[op.__name__]]} {bound}" for op, bound in kind._restrictions]
    return "must be " + " and ".join(bounds)


def _restricted_type(hint: Any) -> Any:
    """The restricted number type in a field's type, `PositiveInt | None` included."""
    options = get_args(hint) if get_origin(hint) in (types.UnionType, Union) else (hint,)
    return next((option for option in options if hasattr(option, "_restrictions")), None)
