"""Phrases that name no object of the image, by a list of words that one can read and replace."""

import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from diglot.core.errors import ConfigError
from diglot.files import explain_missing
from diglot.synth.step import Phrase


@dataclass(frozen=True)
class PhraseFilter:
    """Which phrases name an object that the image can show."""

    words: frozenset[str]
    negations: re.Pattern[str] | None

    @classmethod
    def read(cls, name: str, *, where: str) -> "PhraseFilter":
        """The list of that name, or nothing for "". Raises ConfigError for one not there."""
        if not name:
            return cls(frozenset(), None)
        own = Path(name)
        bundled = files("diglot.synth.prompts").joinpath(f"{name}.txt")
        try:
            text = own.read_text("utf-8") if own.is_file() else bundled.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"no list of words {name!r}: {explain_missing(own)}"
                if not own.is_file()
                else f"{name!r} is no list of words: not text",
                expected="a text file of a word a line, or not_objects",
                where=where,
            ) from error
        lines = [line.strip() for line in text.splitlines() if not line.startswith("#")]
        words, _, negations = "\n".join(lines).partition("[negations]")
        cues = "|".join(re.escape(cue) for cue in negations.split("\n") if cue)
        pattern = re.compile(rf"\b(?:{cues})\s+(?:\w+\s+)?$", re.IGNORECASE) if cues else None
        return cls(frozenset(words.lower().split("\n")) - {""}, pattern)

    def may_name_object(self, text: str) -> bool:
        """Whether the words of a phrase, wherever it stands, do not speak against it."""
        words = text.lower().split()
        return bool(words) and words[-1] not in self.words and " ".join(words) not in self.words

    def is_object(self, phrase: Phrase, caption: str) -> bool:
        """Whether neither the phrase's words nor what stands before it speak against it."""
        if not self.may_name_object(phrase.text):
            return False
        if self.negations is None or phrase.span is None:
            return True
        words = phrase.text.lower().split()
        starts_negated = self.negations.match(f"{words[0]} ") is not None
        return not starts_negated and not self.negations.search(caption[: phrase.span[0]])
