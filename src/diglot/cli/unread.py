"""Options that a verb does not read in the mode that was chosen: refused, never dropped unsaid."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jsonargparse import ArgumentParser

from diglot.core.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Unread:
    """Options without a meaning beside others. A verb's file lists its own as UNREAD."""

    options: tuple[str, ...]
    """Their names; `scene` stands for --scene.image_px and its like too."""
    beside: str
    """What they have no meaning beside, as it is typed."""
    holds: Callable[[Mapping[str, Any]], bool]
    """Whether that was chosen, by the values of all options."""


# Of the settings of words and charts, those of one alone.
TEXT_UNREAD = (
    Unread(
        options=("text.texts",),
        beside="--kind charts",
        holds=lambda values: values["kind"] == "charts",
    ),
    Unread(
        options=("text.values",),
        beside="--kind words",
        holds=lambda values: values["kind"] == "words",
    ),
)


def refuse_unread(
    rules: Sequence[Unread], values: Mapping[str, Any], args: Sequence[str], parser: ArgumentParser
) -> None:
    """Raises ConfigError for an option that was typed and would not be read."""
    places = [action.dest for action in parser._actions if not action.option_strings]
    typed = [word.removeprefix("--").partition("=")[0] for word in args if word[:2] == "--"]
    typed += [place for place in places if values.get(place)]
    for rule in rules:
        unread = [name for name in typed if _is_under(name, rule.options)]
        if unread and rule.holds(values):
            name = unread[0].upper() if unread[0] in places else f"--{unread[0]}"
            raise ConfigError(f"{name} is not read beside {rule.beside}", fix="Leave it out.")


def _is_under(name: str, options: Sequence[str]) -> bool:
    return any(name == option or name.startswith(f"{option}.") for option in options)
