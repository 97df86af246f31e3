"""The settings of the pairs of rendered text, and their three levels of difficulty."""

from dataclasses import dataclass

from diglot.core.errors import ConfigError
from diglot.synth.text_pairs.charts import KINDS
from diglot.synth.text_pairs.pages import STYLES
from diglot.synth.text_pairs.photo import Degradation
from diglot.synth.text_pairs.warp import Strength

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

    @property
    def categories(self) -> tuple[str, ...]:
        """words/<style of the source>, characters/<the same>, charts/<kind>, in turn."""
        inner = {"words": STYLES, "characters": STYLES, "charts": KINDS}
        return tuple(f"{what}/{name}" for what in WHAT if what in self.what for name in inner[what])


@dataclass(frozen=True, kw_only=True)
class Level:
    """How unlike the two pictures of a pair are. Fonts and colours of text always differ."""

    name: str
    strength: Strength
    degradation: Degradation
    others: tuple[int, int]  # texts on one page alone, fewest and most
    alike: int = 0  # of them, those that differ from a shared text in one character
    same_layout: bool = False  # texts in one order and style; charts turned and ordered alike
    same_hues: bool = False  # of a chart's parts
    capitals: float = 0.0  # share of pages in capitals


LEVELS = (
    Level(
        name="easy",
        strength=Strength(turn_degrees=3, corner_share=0.015, wave_px=0, crop_share=0),
        degradation=Degradation(shade=0.05, blur_px=0.3, noise=2),
        others=(0, 2),
        same_layout=True,
        same_hues=True,
    ),
    Level(
        name="medium",
        strength=Strength(turn_degrees=10, corner_share=0.05, wave_px=3, crop_share=0),
        degradation=Degradation(shade=0.15, blur_px=0.6, noise=5),
        others=(3, 5),
        same_hues=True,
        capitals=0.15,
    ),
    Level(
        name="hard",
        strength=Strength(turn_degrees=22, corner_share=0.09, wave_px=7, crop_share=0.2),
        degradation=Degradation(shade=0.3, blur_px=0.9, noise=9),
        others=(5, 8),
        alike=4,
        capitals=0.3,
    ),
)
