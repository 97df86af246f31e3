"""The command line's side of recipes: --config files and options that set parts, as one recipe."""

import json
from typing import Any

from diglot.config.recipes import parse, read
from diglot.core.errors import ConfigError
from diglot.train.config import PARTS, check_sections, merge_stage

# Settings below these are merged like the fields of parts: --plus.patch_aligned.weight 0.5
OPEN = (*PARTS, "plus", "mix")


def settle(args: list[str]) -> list[str]:
    """The arguments with all --config files, and options that set a part, as one --config of JSON.

    Raises ConfigError for a recipe that is not there or no YAML, and for a part that is none.
    """
    told: Any = {}
    options: list[tuple[str, Any]] = []
    rest: list[str] = []
    words = iter(args)
    for word in words:
        name, equals, value = word.removeprefix("--").partition("=")
        ours = word.startswith("--") and (name == "config" or _is_open(name))
        if not ours:
            rest.append(word)
            continue
        value = value if equals else next(words, "--")
        if value.startswith("--"):
            raise ConfigError(f"--{name} needs a value")
        if name == "config":
            told = merge_stage(told, read(value))
        else:
            options.append((name, parse(value, where=f"--{name}")))
    for name, value in options:  # over every recipe, wherever they stand
        told = merge_stage(told, _nested(name, value))
    check_sections(told)
    return [f"--config={json.dumps(told)}", *rest] if told else rest


def _is_open(name: str) -> bool:
    return any(name == part or name.startswith(f"{part}.") for part in OPEN)


def _nested(name: str, value: Any) -> dict[str, Any]:
    for key in reversed(name.split(".")):
        value = {key: value}
    return value
