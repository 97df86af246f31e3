"""`diglot select`: choose a vision encoder without fine-tuning with each."""

import difflib
import importlib
import typing
from collections.abc import Callable
from typing import Any

from jsonargparse import ArgumentParser

from diglot.cli.verb import parse_arguments, verb_parser
from diglot.core.errors import ConfigError

# Sub-verb -> the file that has it, and what it does: help loads none of them.
SUB_VERBS = {
    "paper": ("select_law", "repeat the paper from its printed scores, and compare policies"),
    "fit": ("select_law", "fit results as a polynomial of scores, beside the baselines"),
    "plan": ("select_law", "which setting to fine-tune next, and when to stop"),
    "a-score": (
        "select_a_score",
        "the A score: log-likelihood of captions behind images",
    ),
    "c-score": ("select_pairs", "the C score: keypoints whose match in another picture is found"),
    "view": ("select_view", "where encoders find points of one picture in another, as a page"),
    "scene-pairs": ("select_pairs", "pairs of scenes with one object in common"),
    "ocr-pairs": ("select_ocr_pairs", "pairs of pictures of the same words, or the same chart"),
    "study": ("select_study", "train every setting alike, and see what predicts what"),
}


def select(subcommand: str, settings: dict[str, Any]) -> None:
    """Choose a vision encoder without fine-tuning each.

    Examples:
        diglot select fit scores.csv --results mmbench
        diglot select plan scores.csv --results mmbench --budget 4
        diglot select paper
    """
    _find_function(subcommand)(**settings)


def add_arguments(parser: ArgumentParser) -> None:
    """The names of the sub-verbs; `diglot select NAME --help` shows the options of one."""
    parser.usage = "diglot select NAME [options]"
    lines = [f"  {name:<12} {what}" for name, (_, what) in SUB_VERBS.items()]
    parser.description = "\n".join([f"{parser.description}", "Names:", *lines])


def read_arguments(parser: ArgumentParser, args: list[str]) -> dict[str, Any]:
    """The sub-verb and its settings. Raises ConfigError for what is wrong in either."""
    if not args or args[0].startswith("-"):
        parser.parse_args(args)
        raise ConfigError("no sub-verb", expected="one of " + ", ".join(SUB_VERBS))
    name, *rest = args
    if name not in SUB_VERBS:
        close = difflib.get_close_matches(name, SUB_VERBS, n=1)
        meant = f" (did you mean {close[0]!r}?)" if close else ""
        raise ConfigError(f"no sub-verb {name!r}{meant}", expected="one of " + ", ".join(SUB_VERBS))
    function = _find_function(name)
    sub_parser = verb_parser(f"select {name}", function)
    sub_parser.add_function_arguments(function, as_group=False, as_positional=True)
    rest = _join_repeated(function, rest)
    return {"subcommand": name, "settings": parse_arguments(sub_parser, rest)}


def _join_repeated(function: Callable[..., None], args: list[str]) -> list[str]:
    """`--encoder A --encoder B` as the parser takes it, for options that are lists alone."""
    kinds = typing.get_type_hints(function)
    lists = {f"--{name}" for name, kind in kinds.items() if typing.get_origin(kind) is list}
    joined = []
    for word, after in zip(args, [*args, ""][1:], strict=True):
        option, equals, value = word.partition("=")
        whole = (value if equals else after).lstrip().startswith("[")  # the list itself
        joined.append(f"{option}+{equals}{value}" if option in lists and not whole else word)
    return joined


def _find_function(name: str) -> Callable[..., None]:
    module = importlib.import_module(f"diglot.cli.{SUB_VERBS[name][0]}")
    return getattr(module, name.replace("-", "_"))
