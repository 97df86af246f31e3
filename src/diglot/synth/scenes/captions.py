"""Captions of scenes with the exact characters of every object's phrase."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from diglot.core.types import Span
from diglot.synth.scenes import words


@dataclass(frozen=True, kw_only=True)
class Mention:
    """One object as a caption names it."""

    name: str  # the plain kind: "dog"
    phrase: str  # with its attributes, without an article: "small dog"
    center_xy: tuple[float, float]  # px
    place: str  # "at the top left"


class _SceneText:
    """A caption as it grows. `spans[i]` is where the phrase of mention i stands."""

    def __init__(self, mentions: Sequence[Mention]) -> None:
        self.text = ""
        self.spans: dict[int, Span] = {}
        self._mentions = mentions

    def append(self, words: str) -> "_SceneText":
        if not self.text or self.text.endswith((". ", "! ")):
            words = words[:1].upper() + words[1:]
        self.text += words
        return self

    def name(self, index: int) -> "_SceneText":
        """Add object `index` with its article; "another" after the same phrase."""
        phrase = self._mentions[index].phrase
        again = any(self._mentions[other].phrase == phrase for other in self.spans)
        self.append(("another" if again else words.choose_article(phrase)) + " ")
        self.spans[index] = (len(self.text), len(self.text) + len(phrase))
        self.text += phrase
        return self

    def items(self, indexes: Sequence[int]) -> "_SceneText":
        """Add "a dog on the left, an apple at the top, and a key in the center"."""
        for position, index in enumerate(indexes):
            if position:
                last = position == len(indexes) - 1
                self.append((" and " if len(indexes) == 2 else ", and ") if last else ", ")
            self.name(index).append(" " + self._mentions[index].place)
        return self


def write_caption(
    mentions: Sequence[Mention], style: str, rng: np.random.Generator
) -> tuple[str, list[Span]]:
    """A caption in `style` (see config.STYLES) and, per mention, [start, end) of its phrase.

    The objects come in random order; the phrasing is drawn too.
    """
    text = _SceneText(mentions)
    order = [int(index) for index in rng.permutation(len(mentions))]
    _STYLES[style](text, mentions, order, rng)
    return text.text, [text.spans[index] for index in range(len(mentions))]


def _write_list(
    text: _SceneText, mentions: Sequence[Mention], order: list[int], rng: np.random.Generator
) -> None:
    openings = ("", "there is ", "a picture of ", "this scene shows ", "here we see ")
    text.append(openings[int(rng.integers(len(openings)))]).items(order).append(".")


def _write_sentences(
    text: _SceneText, mentions: Sequence[Mention], order: list[int], rng: np.random.Generator
) -> None:
    for position, index in enumerate(order):
        if position:
            text.append(" ")
        _write_sentence(text, mentions, index, rng)


def _write_sentence(
    text: _SceneText, mentions: Sequence[Mention], index: int, rng: np.random.Generator
) -> None:
    where = mentions[index].place
    form = int(rng.integers(3))
    if form == 0:
        text.append("there is ").name(index).append(f" {where}.")
    elif form == 1:
        text.name(index).append(f" is {where}.")
    else:
        text.append(f"{where} is ").name(index).append(".")


def _write_relations(
    text: _SceneText, mentions: Sequence[Mention], order: list[int], rng: np.random.Generator
) -> None:
    pairs = list(zip(order[::2], order[1::2], strict=False))
    for position, (first, second) in enumerate(pairs):
        how = words.name_relation(mentions[first].center_xy, mentions[second].center_xy)
        if position:
            text.append(" ")
        if rng.random() < 0.5:
            text.name(first).append(f" is {how} ").name(second).append(".")
        else:
            # The second comes first in the sentence: "above a dog is a key".
            text.append(f"{how} ").name(second).append(" is ").name(first).append(".")
    if len(order) % 2:
        text.append(" " if pairs else "")
        _write_sentence(text, mentions, order[-1], rng)


def _write_counts(
    text: _SceneText, mentions: Sequence[Mention], order: list[int], rng: np.random.Generator
) -> None:
    names = [mentions[index].name for index in order]
    repeated = [index for index in order if names.count(mentions[index].name) > 1]
    if not repeated:
        things = ("object", "thing")[int(rng.integers(2))]
        verb = "are" if len(order) > 1 else "is"
        many = things + "s" if len(order) > 1 else things
        text.append(f"there {verb} {words.number_words(len(order))} {many}: ").items(order).append(
            "."
        )
        return
    kind = mentions[repeated[0]].name
    same = [index for index in order if mentions[index].name == kind]
    text.append(f"there are {words.number_words(len(same))} {words.pluralise_name(kind)}: ").items(
        same
    ).append(".")
    others = [index for index in order if mentions[index].name != kind]
    if others:
        text.append(" There is also ").items(others).append(".")


_STYLES = {
    "list": _write_list,
    "sentences": _write_sentences,
    "relations": _write_relations,
    "counts": _write_counts,
}
