"""The closed lists of words that phrases are found by, from `closed_words.txt` beside this file."""

from functools import cache
from importlib.resources import files


def read_words(section: str) -> tuple[str, ...]:
    """The words of a section, in order. Raises KeyError for a section that is not there."""
    return _read_sections()[section]


@cache
def _read_sections() -> dict[str, tuple[str, ...]]:
    text = files("diglot.synth.phrases").joinpath("closed_words.txt").read_text("utf-8")
    found = {}
    for part in text.split("\n[")[1:]:
        name, _, words = part.partition("]\n")
        found[name] = tuple(words.split())
    return found
