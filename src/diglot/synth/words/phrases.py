"""The words of a caption that can name what a patch shows: noun phrases, nouns, attributes.

SEA appendix C takes "meaningful and attribute-related" words by a syntactic analysis it does not
specify. Here: part-of-speech tags by textblob's PatternTagger, whose lexicon comes with the
package, and one pattern, (adjective)* (noun)+.
"""

from collections.abc import Iterator
from functools import cache, lru_cache
from typing import Any

from diglot.core.errors import ConfigError

EXTRA = 'Install it: pip install "diglot[words]".'
_MAX_PHRASE_WORDS = 5  # of a longer run of nouns ("dog dog dog ...") each word counts alone
_MAX_WORD_CHARS = 40  # longer ones are addresses, hashes, or text without spaces


def find_phrases(caption: str) -> list[str]:
    """Every phrase, noun and adjective of `caption`, lower case, as often as it stands there.

    "Two small brown dogs" gives "small brown dog", "small", "brown", "dog": a phrase's last noun is
    made singular, its adjectives and nouns also stand alone.
    """
    found: list[str] = []
    for chunk in _noun_chunks(_load_tagger().tag(caption)):
        words = [word for word, _ in chunk]
        if 1 < len(chunk) <= _MAX_PHRASE_WORDS and _is_noun(chunk[-1][1]):
            found.append(" ".join(words))
        found += words
    return found


def is_content_word(word: str) -> bool:
    """Whether the lexicon knows `word` as a noun or adjective, mainly."""
    return _is_word(word) and (_load_lexicon().get(word) or "")[:2] in ("NN", "JJ")


def _noun_chunks(tagged: list[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    """Runs of adjectives then nouns; an adjective after a noun begins a new run."""
    chunk: list[tuple[str, str]] = []
    for index, (token, tag) in enumerate(tagged):
        follows = tagged[index + 1][1] if index + 1 < len(tagged) else ""
        word = _base_form(token.lower(), tag, last=not _is_noun(follows))
        part = (_is_noun(tag) or (tag.startswith("JJ") and follows != "TO")) and _is_word(word)
        if chunk and (not part or (_is_noun(chunk[-1][1]) and not _is_noun(tag))):
            yield chunk
            chunk = []
        if part:
            chunk.append((word, tag))
    if chunk:
        yield chunk


def _base_form(word: str, tag: str, *, last: bool) -> str:
    return _singular_form(word) if tag in ("NNS", "NNPS") and last else word


@lru_cache(maxsize=100_000)
def _singular_form(word: str) -> str:
    """The singular that the lexicon knows as a noun: textblob's own rules make "py" of "pies"."""
    from textblob.en.inflect import singularize

    candidates = [singularize(word), word.removesuffix("s")]
    for candidate in candidates:
        if (_load_lexicon().get(candidate) or "").startswith("NN"):
            return candidate
    unknown = word not in _load_lexicon() and len(candidates[0]) > 2
    return candidates[0] if unknown else word  # "clothes" stays


def _is_noun(tag: str) -> bool:
    return tag.startswith("NN")


def _is_word(text: str) -> bool:
    letters = text.replace("-", "").replace("'", "")
    return letters.isalpha() and text[0].isalpha() and 1 < len(text) <= _MAX_WORD_CHARS


@cache
def _load_tagger() -> Any:
    try:
        from textblob.en.taggers import PatternTagger
    except ImportError as error:
        raise ConfigError("the package textblob is needed to find words", fix=EXTRA) from error
    return PatternTagger()


@cache
def _load_lexicon() -> Any:
    _load_tagger()  # raises where textblob is missing
    from textblob.en import lexicon

    return lexicon
