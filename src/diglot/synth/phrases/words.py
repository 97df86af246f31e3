"""A text cut into the words that phrases are matched by, each with its characters in the text.

Unicode throughout: combining marks belong to their letter; a script written without spaces gives
one word a character (Han, Hiragana, Thai, ...), but a run of Katakana is one word, since "バス" is
not in "バスケット".
"""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby, pairwise

from diglot.core.types import Span
from diglot.synth.phrases.tables import read_words

APOSTROPHES = "'’ʼ"
HYPHENS = "-‐‑"
_ONE_APOSTROPHE = str.maketrans(dict.fromkeys(APOSTROPHES, "'"))
_ELIDED = frozenset(read_words("elided articles"))  # l'arbre
_SPACELESS = ("CJK", "HIRAGANA", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN")


@dataclass(frozen=True)
class Word:
    """One word of a text: its characters there, and what it is compared by."""

    start: int
    end: int
    raw: str
    folded: str  # case, width and diacritics removed
    kind: str  # "letter", "katakana", "hangul", "possessive", or "sign" for a spaceless script


def split_words(text: str) -> list[Word]:
    """The words of `text` in order; punctuation is between them."""
    return [
        Word(start, end, text[start:end], fold_text(text[start:end]), kind)
        for start, end, kind in _split_pieces(text)
    ]


@lru_cache(maxsize=10_000)
def fold_text(text: str) -> str:
    """`text` in the form that is compared: compatible forms, no case, no Latin diacritics."""
    compatible = unicodedata.normalize("NFKC", text).casefold().translate(_ONE_APOSTROPHE)
    letters = unicodedata.normalize("NFD", compatible)
    kept = [
        letter
        for before, letter in pairwise(" " + letters)
        if unicodedata.category(letter) != "Mn" or not _is_latin(before)
    ]
    return unicodedata.normalize("NFC", "".join(kept))


def _is_latin(letter: str) -> bool:
    return letter < "ɐ" or unicodedata.category(letter) == "Mn"


def _split_pieces(text: str) -> Iterator[tuple[int, int, str]]:
    """(start, end, kind) of every word."""
    at = 0
    for kind, run in groupby(_letter_kinds(text)):
        size = len(list(run))
        if kind == "letter":
            yield from _without_possessive(text, at, at + size)
        elif kind == "sign":
            yield from _split_clusters(text, at, at + size)
        elif kind:
            yield at, at + size, kind
        at += size


def _letter_kinds(text: str) -> list[str]:
    """The kind of each character; "" between words. Marks and inner apostrophes join the word."""
    kinds = [_letter_kind(letter) for letter in text]
    for index, letter in enumerate(text):
        before = kinds[index - 1] if index else ""
        after = kinds[index + 1] if index + 1 < len(text) else ""
        is_mark = unicodedata.category(letter).startswith("M")
        if (is_mark and before) or (
            letter in APOSTROPHES and before == "letter" and after == "letter"
        ):
            kinds[index] = before
    return kinds


@lru_cache(maxsize=10_000)
def _letter_kind(letter: str) -> str:
    if unicodedata.category(letter)[0] not in "LN" and letter != "ー":
        return ""
    name = unicodedata.name(letter, "")
    if name.startswith(("KATAKANA", "HALFWIDTH KATAKANA")):
        return "katakana"
    if name.startswith("HANGUL"):
        return "hangul"
    return "sign" if name.startswith(_SPACELESS) else "letter"


def _without_possessive(text: str, start: int, end: int) -> Iterator[tuple[int, int, str]]:
    """ "dog's" is the word "dog" and an ending, so that "dog" is found in it."""
    for index in range(start, end):
        if text[index] in APOSTROPHES and text[index + 1 : end].lower() == "s":
            yield start, index, "letter"
            yield index, end, "possessive"
            return
        if text[index] in APOSTROPHES and text[start:index].lower() in _ELIDED:
            yield start, index, "letter"
            start = index + 1
    yield start, end, "letter"


def _split_clusters(text: str, start: int, end: int) -> Iterator[tuple[int, int, str]]:
    """Every character of a spaceless script with the marks that follow it."""
    begin = start
    for index in range(start + 1, end + 1):
        if index == end or not unicodedata.category(text[index]).startswith("M"):
            yield begin, index, "sign"
            begin = index


def is_joined(text: str, words: list[Word], left: int, right: int) -> bool:
    """Whether the words `left` and `right` = left + 1 are parts of one ("short-haired")."""
    if left < 0 or right >= len(words) or words[right].kind == "possessive":
        return False
    gap = text[words[left].end : words[right].start]
    if gap and gap in HYPHENS:
        return True
    kinds = {words[left].kind, words[right].kind}
    return not gap and kinds <= {"letter", "hangul"}


def span_of(words: list[Word], first: int, last: int) -> Span:
    """The characters from word `first` to word `last`, both included."""
    return words[first].start, words[last].end
