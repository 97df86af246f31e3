"""Where a phrase could stand in a caption: every occurrence, with how it differs.

Exact, in another case or width, or inflected; always whole words, so "container" is never found in
"containernumber", "shirt" never in "T-shirt".
"""

import re
from dataclasses import dataclass

from diglot.core.types import Span
from diglot.synth.phrases.inflection import are_forms
from diglot.synth.phrases.tables import read_words
from diglot.synth.phrases.words import HYPHENS, Word, is_joined, split_words

EXACT, FOLDED, INFLECTED = range(3)

_DETERMINERS = frozenset(read_words("determiners"))
# What may stand between two words of one phrase, whatever stands there in the phrase given.
_LOOSE_GAP = re.compile(rf"[\s{re.escape(HYPHENS)}\"“”„«»'‘’]*")
OPENING, _CLOSING = "\"“„«'‘([", "\"”“»'’)]"
# Capitals that make another word of these.
_NOT_ACRONYMS = frozenset(read_words("never acronyms"))


@dataclass(frozen=True)
class Candidate:
    """One occurrence: its characters, its words (first to last, included), how it differs."""

    span: Span
    first: int
    last: int
    difference: int


@dataclass(frozen=True)
class CaptionWords:
    """A caption and its words."""

    text: str
    words: list[Word]

    @classmethod
    def of(cls, text: str) -> "CaptionWords":
        """The caption, cut into words."""
        return cls(text, split_words(text))


def find_candidates(phrase: str, caption: CaptionWords) -> list[Candidate]:
    """Every occurrence of `phrase`, left to right; one without its article where none has it."""
    words = split_words(phrase)
    found = _list_occurrences(phrase, words, caption)
    if not found and len(words) > 1 and words[0].folded in _DETERMINERS:
        shorter = phrase[words[1].start :]
        found = _list_occurrences(shorter, split_words(shorter), caption)
    return found


def _list_occurrences(phrase: str, words: list[Word], caption: CaptionWords) -> list[Candidate]:
    if not words:
        return []
    ends = len(caption.words) - len(words) + 1
    found = [_match_words(phrase, words, caption, first) for first in range(ends)]
    return [candidate for candidate in found if candidate is not None]


def _match_words(
    phrase: str, words: list[Word], caption: CaptionWords, first: int
) -> Candidate | None:
    """The occurrence that begins with the caption's word `first`, if there is one."""
    text, last = caption.text, first + len(words) - 1
    found = caption.words[first : last + 1]
    difference = _logit_difference(words, found)
    if difference is None or not _gaps_agree(phrase, words, text, found):
        return None
    if is_joined(text, caption.words, first - 1, first):
        return None
    if is_joined(text, caption.words, last, last + 1):
        return None
    span = _with_quotes(phrase, words, text, _inner_span(words[-1], found))
    if difference == EXACT and text[span[0] : span[1]] != phrase.strip():
        difference = FOLDED
    return Candidate(span, first, last, difference)


def _inner_span(wanted: Word, found: list[Word]) -> Span:
    """From the first word to the last; a Korean particle behind it does not belong to it."""
    end = found[-1].end
    if wanted.kind == "hangul" and found[-1].raw.startswith(wanted.raw):
        end = found[-1].start + len(wanted.raw)
    return found[0].start, end


def _logit_difference(words: list[Word], found: list[Word]) -> int | None:
    """The largest difference of any word; None where one is another word."""
    worst = EXACT
    for index, (wanted, word) in enumerate(zip(words, found, strict=True)):
        if wanted.raw == word.raw:
            continue
        if _is_acronym(wanted) and word.raw.casefold() == wanted.raw.casefold():
            return None  # "US" is not "us"
        if wanted.folded == word.folded:
            worst = max(worst, FOLDED)
        elif are_forms(wanted, word, is_last=index == len(words) - 1):
            worst = INFLECTED
        else:
            return None
    return worst


def _is_acronym(word: Word) -> bool:
    return word.raw.isupper() and word.folded in _NOT_ACRONYMS


def _gaps_agree(phrase: str, words: list[Word], text: str, found: list[Word]) -> bool:
    """Whether nothing between the words in the caption parts them."""
    for index in range(len(words) - 1):
        gap = text[found[index].end : found[index + 1].start]
        given = phrase[words[index].end : words[index + 1].start]
        if not _LOOSE_GAP.fullmatch(gap) and gap.strip() != given.strip():
            return False
        if not given and gap.strip(HYPHENS) and words[index].kind != "sign":
            return False  # "dog" + "'s" given, something else there
    return True


def _with_quotes(phrase: str, words: list[Word], text: str, span: Span) -> Span:
    """The span with the quotes or brackets that the phrase begins or ends with."""
    start, end = span
    if phrase[: words[0].start].strip() and start and text[start - 1] in OPENING:
        start -= 1
    if phrase[words[-1].end :].strip() and text[end : end + 1] and text[end] in _CLOSING:
        end += 1
    return start, end
