"""A word in a small box: in as few lines as can be read, never beyond the box."""

import textwrap
import unicodedata

_LINE = 1.1  # height in font sizes; the template has it too
_MOST_LINES, _MOST_LETTERS = 4, 24
_LARGEST, _READABLE = 0.4, 0.25  # of the box's height


def fit_word(word: str, width: float, height: float) -> tuple[tuple[str, ...], float]:
    """The lines of a word (its spaces first, then anywhere) and their font size in the box's unit.

    Most letters are kept: 24, the last of more being an ellipsis.
    """
    if len(word) > _MOST_LETTERS:
        word = f"{word[: _MOST_LETTERS - 1]}…"
    best: tuple[tuple[str, ...], float] = ((word,), 0.0)
    for count in range(1, _MOST_LINES + 1):
        lines = tuple(textwrap.wrap(word, max(-(-len(word) // count), 1))) or (word,)
        size = _font_size(lines, width, height)
        if size > best[1]:
            best = (lines, size)
        if size >= _READABLE * height:
            break
    return best[0], round(best[1], 2)


def _font_size(lines: tuple[str, ...], width: float, height: float) -> float:
    """The largest font whose lines leave a tenth of the box free."""
    widest = max(sum(map(_letter_width, line)) for line in lines)
    by_height = height / (_LINE * len(lines))
    return min(_LARGEST * height, 0.9 * by_height, 0.9 * width / max(widest, 1.0))


def _letter_width(letter: str) -> float:
    """In font sizes, of the widest sans-serif fonts that browsers take."""
    if unicodedata.east_asian_width(letter) in "WF" or letter in "mwMW@%…":
        return 1.0
    return 0.8 if letter.isupper() else 0.65
