"""Whether two words are forms of one: plurals, Russian cases, Korean particles.

Rules, not a lexicon: few and safe ones, since a wrong match puts an object where it is not named.
"""

from functools import lru_cache

from diglot.synth.phrases.tables import read_words
from diglot.synth.phrases.words import Word

_IRREGULAR = dict(pair.split(":") for pair in read_words("irregular plurals"))
_ES = ("sses", "shes", "ches", "xes", "zzes", "oes")
_NO_PLURAL = ("ss", "us", "is", "as", "os")
_RUSSIAN = read_words("russian endings")
_KOREAN = frozenset(read_words("korean particles"))
_MIN_STEM = 3


def are_forms(wanted: Word, found: Word, *, is_last: bool) -> bool:
    """Whether `found` in a text may stand for `wanted` of a phrase.

    `is_last`: whether `wanted` ends its phrase; only there a Korean particle may follow.
    """
    if wanted.kind == "hangul" and found.kind == "hangul":
        rest = found.folded.removeprefix(wanted.folded)
        return found.folded == wanted.folded or (
            is_last and found.folded.startswith(wanted.folded) and rest in _KOREAN
        )
    if wanted.kind != "letter" or found.kind != "letter":
        return wanted.folded == found.folded
    return base_form(wanted.folded) == base_form(found.folded)


@lru_cache(maxsize=10_000)
def base_form(word: str) -> str:
    """What the forms of `word` share; `word` itself where no rule applies."""
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word and "а" <= word[0] <= "ё":
        return _russian_stem(word)
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith(_ES):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(_NO_PLURAL):
        return word[:-1]
    if word == "gas" or not word.endswith(("as", "os")) or len(word) < 5:
        return word
    return word[:-1]  # sofas, photos


def _russian_stem(word: str) -> str:
    for ending in _RUSSIAN:
        if word.endswith(ending) and len(word) - len(ending) >= _MIN_STEM:
            return word.removesuffix(ending)
    return word
