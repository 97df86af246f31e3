"""Spans of foreign captions: taken only where they spell their phrase."""

from typing import Any

from diglot.core.types import Span


def read_span(given: Any, phrase: str, caption: str) -> Span | None:
    """The given [start, end), or the only occurrence of the phrase, or None.

    `given` may be a list of spans, of which the first counts.
    """
    if isinstance(given, list) and given and isinstance(given[0], list):
        given = given[0]
    if isinstance(given, list) and len(given) == 2 and all(type(v) is int for v in given):
        start, end = given
        if 0 <= start < end and caption[start:end] == phrase:
            return start, end
    if phrase and caption.count(phrase) == 1:
        start = caption.index(phrase)
        return start, start + len(phrase)
    return None
