"""What stands on a page: words, phrases, prices and numbers, no two alike on one page."""

import functools
import hashlib
from collections.abc import Callable
from importlib.resources import files
from random import Random

_PHRASES = (
    "open daily",
    "no parking",
    "push to start",
    "keep left",
    "mind the gap",
    "sold out",
    "free delivery",
    "wet paint",
    "last chance",
    "made by hand",
    "this way up",
    "please wait",
    "handle with care",
    "thank you",
    "do not touch",
    "staff only",
    "two for one",
    "ring the bell",
    "half price",
    "best before",
    "no smoking",
    "way out",
    "lost property",
    "new stock",
)
_LETTERS = "abcdefghiklmnoprstuvwy"


@functools.cache
def list_words() -> tuple[str, ...]:
    """The bundled English words, lower case, 3 to 10 letters."""
    text = files("diglot.select.data").joinpath("ocr_words.txt").read_text("utf-8")
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return tuple(word for line in lines for word in line.split())


@functools.cache
def _short_words(letters: int) -> tuple[str, ...]:
    return tuple(word for word in list_words() if len(word) <= letters)


@functools.cache
def _long_words(letters: int) -> tuple[str, ...]:
    return tuple(word for word in list_words() if len(word) >= letters)


@functools.cache
def is_held_out(word: str, share: float) -> bool:
    """Whether a word is among the share in [0, 1] that training does not show."""
    return int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big") < share * 2**32


class Draw:
    """Draws texts of which none repeats, or lies within, another drawn before.

    Of the share `held_out` of the words none is drawn, or with `only_held_out` those alone, and
    neither phrases nor numbers.
    """

    def __init__(self, rng: Random, *, held_out: float = 0.0, only_held_out: bool = False) -> None:
        self._rng = rng
        self._taken: list[str] = []
        self._held_out, self._only = held_out, only_held_out

    def word(self) -> str:
        """A word of the list."""
        return self._draw_word(list_words())

    def short_word(self, letters: int) -> str:
        """A word of at most as many letters."""
        return self._draw_word(_short_words(letters))

    def long_word(self, letters: int) -> str:
        """A word of at least as many letters."""
        return self._draw_word(_long_words(letters))

    def phrase(self) -> str:
        """Two or three words that belong together."""
        return self._draw_fresh(lambda: self._rng.choice(_PHRASES))

    def price(self) -> str:
        """Dollars and cents."""
        return self._draw_fresh(
            lambda: f"${self._rng.randint(1, 180)}.{self._rng.randint(0, 99):02d}"
        )

    def number(self) -> str:
        """A whole number, a share, a time of day or a year."""
        kinds = (
            lambda: f"{self._rng.randint(1, 99)},{self._rng.randint(0, 999):03d}",
            lambda: f"{self._rng.randint(11, 99)}%",
            lambda: f"{self._rng.randint(1, 12)}:{self._rng.randint(0, 59):02d}",
            lambda: str(self._rng.randint(1890, 2030)),
        )
        return self._draw_fresh(self._rng.choice(kinds))

    def any(self) -> str:
        """Mostly words; every third something else."""
        if self._only:
            return self.word()
        return self._rng.choice((*[self.word] * 4, self.phrase, self.number))()

    def like(self, text: str) -> str:
        """`text`, which has no space, with one letter or digit replaced: easily taken for it."""
        return self._draw_fresh(lambda: _one_other(text, self._rng))

    def _draw_word(self, words: tuple[str, ...]) -> str:
        if not self._held_out:
            return self._draw_fresh(lambda: self._rng.choice(words))
        kept = [word for word in words if is_held_out(word, self._held_out) == self._only]
        return self._draw_fresh(lambda: self._rng.choice(kept))

    def _draw_fresh(self, draw: Callable[[], str]) -> str:
        while True:
            text = draw()
            if not any(_texts_collide(text, other) for other in self._taken):
                self._taken.append(text)
                return text


def _texts_collide(text: str, other: str) -> bool:
    inside = text in other or other in text
    return inside or bool(set(text.split()) & set(other.split()))


def _one_other(text: str, rng: Random) -> str:
    places = [i for i, character in enumerate(text) if character.isalnum()]
    place = rng.choice(places)
    others = "123456789" if text[place].isdigit() else _LETTERS
    other = rng.choice([c for c in others if c != text[place]])
    return text[:place] + other + text[place + 1 :]
