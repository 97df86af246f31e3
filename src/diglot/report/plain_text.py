"""Characters that no page or figure can show: bytes of a tokenizer, damaged captions.

An SVG file that holds one is no XML, and matplotlib draws an empty box for it.
"""

import unicodedata

_KEPT = frozenset("\n\t")
_UNSHOWN = frozenset(("Cc", "Cs", "Cn", "Co"))  # control, half of a pair, unassigned, private


def escape_unshown(text: str) -> str:
    """The text with such characters written as in Python, \\x16; line breaks and tabs stay."""
    if text.isprintable():
        return text
    return "".join(
        letter.encode("unicode_escape").decode("ascii") if _is_unshown(letter) else letter
        for letter in text
    )


def _is_unshown(letter: str) -> bool:
    return letter not in _KEPT and unicodedata.category(letter) in _UNSHOWN
