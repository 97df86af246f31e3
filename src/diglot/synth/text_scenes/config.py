"""The settings of composed scenes of words and of charts."""

from dataclasses import dataclass
from typing import Literal

from diglot.core.errors import ConfigError

# Bumped when the same seed no longer gives the same scenes.
VERSION = 1
SPLITS = ("train", "test", "test_words")
Kind = Literal["words", "charts"]


@dataclass(frozen=True, kw_only=True)
class TextScenesConfig:
    """How scenes of words and charts are composed."""

    image_px: int = 448
    """Side of the square scene; a page that is larger is shrunk to fit."""
    texts: tuple[int, int] = (4, 8)
    """Fewest and most texts on a page of words."""
    mentions: tuple[int, int] = (2, 5)
    """Fewest and most texts, or parts of a chart, that the caption names, if there are so many."""
    values: bool = False
    """Captions of bar and line charts state each part's value, to three digits."""
    held_out_words: float = 0.0
    """Share of the words, in [0, 0.5], that no split but test_words shows, which shows no other."""
    jpeg_quality: int = 92
    """Quality of the JPEG files, 1 to 100."""

    def __post_init__(self) -> None:
        checks = {
            "image_px": (64 <= self.image_px <= 8192, "64 to 8192"),
            "texts": (2 <= self.texts[0] <= self.texts[1] <= 40, "2 <= low <= high <= 40"),
            "mentions": (1 <= self.mentions[0] <= self.mentions[1], "1 <= low <= high"),
            "held_out_words": (0 <= self.held_out_words <= 0.5, "0 to 0.5"),
            "jpeg_quality": (1 <= self.jpeg_quality <= 100, "1 to 100"),
        }
        for name, (fine, expected) in checks.items():
            if not fine:
                got = getattr(self, name)
                raise ConfigError(f"text: {name} is out of range", expected=expected, got=got)
