"""Prompts are text files that one can read and replace; a record names the one used by digest."""

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from diglot.core.errors import ConfigError


@dataclass(frozen=True)
class PromptText:
    """A prompt and the first 16 hex digits of its SHA-256."""

    text: str
    digest: str

    def fill(self, **values: str) -> str:
        """The prompt with `{name}` replaced; other braces stay as they are."""
        text = self.text
        for name, value in values.items():
            text = text.replace("{" + name + "}", value)
        return text


def read_prompt(name: str) -> PromptText:
    """A bundled prompt ("caption"), or a text file of your own. Raises ConfigError for neither."""
    own, bundled = Path(name), files("diglot.synth.prompts").joinpath(f"{name}.txt")
    try:
        text = (own if own.is_file() else bundled).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"no prompt {name!r}", expected="a text file, or caption, entities, tags"
        ) from error
    return PromptText(text, hashlib.sha256(text.encode()).hexdigest()[:16])
