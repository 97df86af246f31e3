"""Captions of pages and charts, with the exact characters of what they name."""

from collections.abc import Sequence
from itertools import pairwise
from random import Random

from diglot.core.types import Span
from diglot.synth.scenes import words
from diglot.synth.text_scenes.page import Page, PageThing

# Parts whose values are nearer than this share are not compared: it could not be read.
_CLEARLY = 0.1
AXES = ("bar chart", "line chart")  # whose ticks give their parts' values
STATES = "has the value"


class _PageText:
    """A caption as it grows, and where each thing's phrase stands, by the thing's index."""

    def __init__(self) -> None:
        self.text = ""
        self.spans: dict[int, Span] = {}

    def append(self, words: str) -> "_PageText":
        self.text += words
        return self

    def name(self, index: int, thing: PageThing) -> "_PageText":
        """A text in quotes, a chart's part as it is."""
        quote = '"' if thing.is_text else ""
        start = len(self.text) + len(quote)
        self.text += f"{quote}{thing.phrase}{quote}"
        self.spans[index] = (start, start + len(thing.phrase))
        return self


def write_caption(
    page: Page, named: Sequence[int], places: Sequence[str], rng: Random, *, values: bool = False
) -> tuple[str, dict[int, Span]]:
    """A caption that names the things of the indices `named`, each once, and where they stand.

    `places`: where each thing of the page is ("at the top left"). With `values` it states those
    that an axis gives in place of comparing them.
    """
    text = _PageText()
    text.append(f"{words.choose_article(page.noun).capitalize()} {page.noun}")
    things = [(index, page.things[index]) for index in named]
    texts = [(index, thing) for index, thing in things if thing.is_text]
    if texts:
        _list_texts(text, page, texts)
    text.append(".")
    parts = [pair for pair in things if not pair[1].is_text]
    if values and page.noun in AXES:
        _state_values(text, parts)
    else:
        _describe_parts(text, parts, places)
    if len(texts) > 1 and rng.random() < 0.5:
        index, thing = rng.choice(texts)
        text.append(f' The text "{thing.phrase}" is {places[index]}.')
    return text.text, text.spans


def _state_values(text: _PageText, parts: Sequence[tuple[int, PageThing]]) -> None:
    for index, thing in parts:
        assert thing.value is not None  # charts with axes have them
        text.append(" The ").name(index, thing).append(f" {STATES} {round_value(thing.value)}.")


def round_value(value: float) -> str:
    """To three digits, as an axis can be read: 0.15, 53.4, 812."""
    return f"{float(f'{value:.3g}'):g}"


def _list_texts(text: _PageText, page: Page, texts: Sequence[tuple[int, PageThing]]) -> None:
    titled = [pair for pair in texts if pair[1].phrase == page.title]
    others = [pair for pair in texts if pair[1].phrase != page.title]
    for index, thing in titled:
        text.append(" titled ").name(index, thing)
    label = "label" if len(others) == 1 else "labels"
    text.append((f" with the {label} " if page.title else " that says ") if others else "")
    for position, (index, thing) in enumerate(others):
        if position:
            text.append(" and " if position == len(others) - 1 else ", ")
        text.name(index, thing)


def _describe_parts(
    text: _PageText, parts: Sequence[tuple[int, PageThing]], places: Sequence[str]
) -> None:
    """Two parts are compared where their values differ visibly; each other has its place."""
    rest = list(parts)
    for (first, one), (second, other) in list(pairwise(parts))[::2]:
        if one.value is None or other.value is None or not _clearly_differ(one.value, other.value):
            continue
        how = "larger" if one.value > other.value else "smaller"
        text.append(" The ").name(first, one).append(f" is {how} than the ")
        text.name(second, other).append(".")
        rest = [pair for pair in rest if pair[0] not in (first, second)]
    for index, thing in rest:
        text.append(" The ").name(index, thing).append(f" is {places[index]}.")


def _clearly_differ(one: float, other: float) -> bool:
    return abs(one - other) >= _CLEARLY * max(abs(one), abs(other))
