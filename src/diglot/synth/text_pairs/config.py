"""The settings of the pairs of rendered text."""

from dataclasses import dataclass

from diglot.core.errors import ConfigError

# Bumped when the same seed no longer gives the same pairs.
VERSION = 1
WHAT = ("words", "characters", "charts")


@dataclass(frozen=True, kw_only=True)
class OcrPairsConfig:
    """What is drawn. The defaults: words on pages, and charts."""

    what: tuple[str, ...] = ("words", "charts")
    """words: keypoints are texts' middles, the target box holds all text. characters: the letters
    of one word, and its box. charts: labels, legends, ends of bars, points, slices; the
    box that holds these."""
    texts: tuple[int, int] = (8, 11)
    """Fewest and most texts that stand on both pages of a pair."""
    min_keypoints: int = 4
    """Keypoints visible in both pictures, at least."""
    jpeg_quality: int = 92
    """Quality of the JPEG files, 1 to 100."""

    def __post_init__(self) -> None:
        low, high = self.texts
        checks = {
            "what": (bool(self.what) and set(self.what) <= set(WHAT), "some of " + ", ".join(WHAT)),
            "texts": (
                self.min_keypoints <= low <= high <= 40,
                "min_keypoints <= low <= high <= 40",
            ),
            "min_keypoints": (1 <= self.min_keypoints <= 5, "1 to 5"),
            "jpeg_quality": (1 <= self.jpeg_quality <= 100, "1 to 100"),
        }
        for name, (fine, expected) in checks.items():
            if not fine:
                got = getattr(self, name)
                raise ConfigError(f"ocr pairs: {name} out of range", expected=expected, got=got)
