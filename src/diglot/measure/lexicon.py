"""Whether a sub-token reads as a word.

Patch-aligned Fig. 5 colours the tokens that NLTK recognises. Here wordfreq's English list decides
where it is installed, else the word list of the measurement; the answer's source stands with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

LEAST_ZIPF = 2.5  # about one in three million words: rarer strings are mostly fragments
FEWEST_LETTERS = 3


@dataclass(frozen=True)
class Lexicon:
    """Which lower-case words there are."""

    words: frozenset[str]
    source: str

    def holds(self, text: str) -> bool:
        """Whether the text without its spaces is one of the words, of three letters or more."""
        word = text.strip().lower()
        return len(word) >= FEWEST_LETTERS and word in self.words


def open_lexicon(listed: Sequence[str]) -> Lexicon:
    """English words by wordfreq and all listed ones; or the listed ones alone."""
    parts = frozenset(part.lower() for word in listed for part in word.split())
    try:
        from wordfreq import get_frequency_dict
    except ImportError:
        return Lexicon(parts, "the words of names and captions")
    least = 10 ** (LEAST_ZIPF - 9)
    english = (word for word, share in get_frequency_dict("en").items() if share >= least)
    return Lexicon(parts | frozenset(english), f"wordfreq, Zipf frequency {LEAST_ZIPF} or more")
