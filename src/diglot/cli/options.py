"""The command line of a verb with recipes: --config files and options as one mapping of settings.

jsonargparse reads each --config alone and lets the file decide over options before it. Here later
recipes lie over earlier ones, and options over all recipes wherever they stand, so recipes and
options are merged first, as plain data, and jsonargparse reads the result, once.
"""

from argparse import Action
from collections.abc import Callable, Mapping
from typing import Any

from jsonargparse import ArgumentParser

from diglot.cli.incumbents import incumbent_hint
from diglot.config.parts import suggest_name
from diglot.config.read import instantiate, nest_value, option_names
from diglot.config.recipes import parse_value, read_recipe
from diglot.core.errors import ConfigError

Merge = Callable[[Any, Any], dict[str, Any]]
SHOW = ("-h", "--help", "--print_config")


def read_settings(
    parser: ArgumentParser,
    args: list[str],
    *,
    merge: Merge,
    recipe: Callable[[str], Mapping[str, Any]] = read_recipe,
    open_under: tuple[str, ...] = (),
    check: Callable[[dict[str, Any]], None] = lambda settings: None,
) -> dict[str, Any]:
    """The values of all of a verb's options, its configurations built.

    Args:
        parser: It knows the verb's options and prints its help.
        args: The words of the command line.
        merge: Lays one mapping of settings over another.
        recipe: Reads the settings of a --config file.
        open_under: Options whose fields are not known before a part is: "objective", "plus".
            Words that no option takes are the parser's positional arguments, in order.
        check: Raises ConfigError for merged settings of a wrong form.

    Raises ConfigError for a word, a value or a recipe that is wrong. Ends with SystemExit after
    help or --print_config.
    """
    shown = [word for word in args if word in SHOW or word.partition("=")[0].endswith(".help")]
    if shown and shown[0] != "--print_config":
        at = args.index(shown[0])
        parser.parse_args(args[at : at + 2] if shown[0].startswith("--") else args[at : at + 1])
    plain = merge_options(
        [word for word in args if word not in SHOW],
        parser,
        merge=merge,
        recipe=recipe,
        open_under=open_under,
    )
    check(plain)
    if shown:
        print(parser.dump(parser.parse_object(plain)), end="")
        raise SystemExit(0)
    return instantiate(parser, plain)


def merge_options(
    args: list[str],
    parser: ArgumentParser,
    *,
    merge: Merge,
    recipe: Callable[[str], Mapping[str, Any]] = read_recipe,
    open_under: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Recipes and options as one nested mapping; typed fields keep their words as text."""
    known = _known_options(parser)
    settings: Any = {}
    options: list[tuple[str, Any]] = []
    unnamed = _positional_options(parser)
    words = list(reversed(args))
    while words:
        word = words.pop()
        if unnamed and not word.startswith("-"):
            options.append((unnamed.pop(0), word))
            continue
        name, equals, value = word.removeprefix("--").partition("=")
        is_open = any(f"{name}.".startswith(f"{above}.") for above in open_under)
        action = known.get(name)
        if not word.startswith("--") or not (
            is_open or _takes_option(known, name) or name in unnamed
        ):
            raise ConfigError(_explain_unknown("argument", word.partition("=")[0], parser))
        if not equals:
            value = _take_value(words, name, flag=action is not None and action.nargs == "?")
        if name in unnamed:
            unnamed.remove(name)
        if name == "config":
            read = recipe(value)
            _check_fields(read, parser, open_under, where=value)
            settings = merge(settings, read)
        else:
            options.append((name, parse_value(value, where=f"--{name}") if is_open else value))
    for name, value in options:
        settings = merge(settings, nest_value(name, value))
    return settings


def _positional_options(parser: ArgumentParser) -> list[str]:
    """What words without a name are: the positional arguments, else the first required option."""
    positional = [action.dest for action in parser._actions if not action.option_strings]
    needed = [
        name for action in parser._actions if action.required for name in _option_names(action)
    ]
    return positional or needed[:1]


def _take_value(words: list[str], name: str, *, flag: bool) -> str:
    """The word after an option; "true" after a flag without one."""
    if words and not words[-1].startswith("--"):
        return words.pop()
    if flag:
        return "true"
    raise ConfigError(f"--{name} needs a value")


def _known_options(parser: ArgumentParser) -> dict[str, Action]:
    return {name: action for action in parser._actions for name in _option_names(action)}


def _option_names(action: Action) -> list[str]:
    return [name.removeprefix("--") for name in action.option_strings]


def _takes_option(known: Mapping[str, Action], name: str) -> bool:
    """Is it an option, or a field of one that holds a whole configuration (features.folder)?"""
    if name in known:
        return True
    above = name.rpartition(".")[0]
    fields = [k for k in known if k.startswith(f"{above}.") and not k.endswith(".help")]
    return above in known and not fields


def _check_fields(
    settings: Mapping[str, Any],
    parser: ArgumentParser,
    open_under: tuple[str, ...],
    *,
    where: str,
    above: str = "",
) -> None:
    """Raises ConfigError naming the recipe that sets a field which the verb does not have."""
    known = _known_options(parser)
    for key, value in settings.items():
        name = f"{above}{key}"
        if name in open_under:
            continue
        has_fields = any(option.startswith(f"{name}.") for option in known)
        if not has_fields and not _takes_option(known, name):
            raise ConfigError(_explain_unknown("field", name, parser), where=where)
        if has_fields and isinstance(value, Mapping):
            _check_fields(value, parser, open_under, where=where, above=f"{name}.")


def _explain_unknown(kind: str, name: str, parser: ArgumentParser) -> str:
    # a name of others may stand under one of our sections: optim.learning_rate
    if hint := incumbent_hint(name.lstrip("-")) or incumbent_hint(name.rpartition(".")[2]):
        return f"unknown {kind} {name!r}: {hint}"
    options = option_names(parser)
    if kind == "argument" and not name.startswith("-") and "data" in options:
        return f"unknown argument {name!r}: a dataset is given by --data"
    return f"unknown {kind} {name!r}" + suggest_name(name.lstrip("-"), options)
