"""Every numeric field and option refuses numbers beyond reason, each by its name.

They are found by their types: fields of configurations, and options of every verb.
"""

import math
import types
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest

from diglot.config.ranges import LARGEST, SEEDS
from diglot.config.read import read_dataclass
from diglot.core.errors import DiglotError
from tests.cli_runner import refusal_of
from tests.config.test_fields_documented import ALL
from tests.test_foreign_outputs import NEEDED, command_of, make_inputs, needed_by, parsers

# What fields without a default are given.
REQUIRED: dict[str, Any] = {
    **dict.fromkeys(("path", "data", "out", "folder", "images", "labels", "model"), "x"),
    **dict.fromkeys(("checkout", "weights"), "x"),
    "objective": "caption",
    "samples": [4],
    "seeds": [0],
    "rows": {"a": "embedded/caption"},
    "layers": [1, 2],
    "encoders": [{"name": "mobilesam"}, {"name": "efficientnet_lite0"}],
    "annotator": {"name": "ssd_mobilenet"},
}
CAPSBENCH = {"grader_url": "http://localhost/v1", "grader_model": "x"}
MAY_BE_NEGATIVE = {
    "duplicate_bits": "-1 looks for no duplicates",
    "layer": "counted from the last one",
    "logit_scale_init": "a logarithm",
    "threshold of embedding": "a cosine",
}


def numeric_leaves(hint: Any) -> Iterator[Any]:
    """The number types inside a type."""
    if get_origin(hint) in (types.UnionType, Union, tuple, list):
        for inner in get_args(hint):
            yield from numeric_leaves(inner)
    elif hint in (int, float) or hasattr(hint, "_restrictions"):
        yield hint


def hostile(hint: Any, name: str) -> list[float]:
    """Numbers that a field of this type and name must refuse."""
    negative = [] if name in MAY_BE_NEGATIVE else [-1]
    large = 2**64 if name in SEEDS else 10**12
    is_float = any(issubclass(leaf, float) for leaf in numeric_leaves(hint))
    return [*negative, large, *((math.nan, math.inf) if is_float else ())]


def in_shape(hint: Any, number: float) -> Any:
    """The number as a value of the type: lists and pairs of it."""
    options = get_args(hint) if get_origin(hint) in (types.UnionType, Union) else (hint,)
    if any(next(numeric_leaves(o), None) is o for o in options):
        return number
    sequence = next(o for o in options if get_origin(o) in (tuple, list))
    inner = [o for o in get_args(sequence) if o is not Ellipsis]
    return [in_shape(o, number) for o in inner]


def required_settings(kind: type) -> dict[str, Any]:
    needed = {f.name for f in fields(kind) if f.default is f.default_factory is MISSING}
    extra = CAPSBENCH if "capsbench" in kind.__module__ else {}
    return {name: REQUIRED[name] for name in needed if name in REQUIRED} | extra


def numeric_fields(kind: type) -> list[tuple[Field[Any], Any]]:
    hints = get_type_hints(kind)
    return [(f, hints[f.name]) for f in fields(kind) if any(numeric_leaves(hints[f.name]))]


def field_name(kind: type, field: str) -> str:
    """A field as it is known here: "threshold of embedding"."""
    full = f"{field} of {kind.__module__.rpartition('.')[2]}"
    return full if full in MAY_BE_NEGATIVE else field


NUMERIC = [kind for kind in ALL if numeric_fields(kind) and "Shape" not in kind.__name__]


def sampled(number: int, every: int) -> list[pytest.MarkDecorator]:
    """One of so many runs by default."""
    return [] if number % every == 0 else [pytest.mark.slow]


@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=sampled(n, 6)) for n, kind in enumerate(NUMERIC)],
    ids=lambda k: f"{k.__module__}.{k.__qualname__}",
)
def test_a_field_beyond_reason_is_refused(kind: type) -> None:
    whole = required_settings(kind)
    config = read_dataclass(kind, whole, where=None)  # without the number it is right
    numbers = [getattr(config, field.name) for field, _ in numeric_fields(kind)]
    assert not [n for n in numbers if hasattr(type(n), "_restrictions")], "no plain numbers"
    accepted = []
    for field, hint in numeric_fields(kind):
        for number in hostile(hint, field_name(kind, field.name)):
            try:
                read_dataclass(kind, whole | {field.name: in_shape(hint, number)}, where=None)
            except DiglotError:
                continue
            accepted.append(f"{field.name}: {number}")
    assert not accepted, f"{kind.__module__}: {accepted}"


ARGUMENTS = {
    **NEEDED,
    "train": "--config embedded/caption --data W/data --out W/new",
    "measure": f"{NEEDED['measure']} --json W/new.json",
}


def numeric_options() -> Iterator[tuple[str, str, Any]]:
    """(verb, option, type) of every number on the command line."""
    for verb, parser in parsers():
        for action in parser._actions:
            hint = getattr(action, "_typehint", None) or action.type
            if any(numeric_leaves(hint)):
                yield verb, action.dest, hint


HOSTILE = [
    (verb, option, hint, number)
    for verb, option, hint in numeric_options()
    for number in hostile(hint, option.rpartition(".")[2])
]
OPTIONS = [
    pytest.param(*case, id=f"{case[0]} --{case[1]} {case[3]}", marks=sampled(n, 25))
    for n, case in enumerate(HOSTILE)
]


@pytest.mark.parametrize(("verb", "option", "hint", "number"), OPTIONS)
def test_an_option_beyond_reason_is_refused(
    verb: str, option: str, hint: Any, number: float, tmp_path: Path, capsys
) -> None:
    words = command_of(
        f"{verb} --x", f"{verb} {ARGUMENTS.get(verb) or needed_by(verb)}", tmp_path, tmp_path
    )
    make_inputs(words, tmp_path)
    before = sorted(tmp_path.rglob("*"))
    value = str(in_shape(hint, number)).replace("'", "")
    message = refusal_of(capsys, *words, f"--{option}={value}")
    assert option.rpartition(".")[2] in message, message
    assert sorted(tmp_path.rglob("*")) == before, message


def test_no_bound_is_beyond_the_largest() -> None:
    """A type's own bounds lie within the one that holds for all numbers, but for seeds."""
    leaves = {
        leaf for kind in NUMERIC for _, h in numeric_fields(kind) for leaf in numeric_leaves(h)
    }
    bounds = {
        (leaf.__name__, bound) for leaf in leaves for _, bound in getattr(leaf, "_restrictions", ())
    }
    assert all(bound <= LARGEST or name == "Seed" for name, bound in bounds)
