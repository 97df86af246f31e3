"""The categories of the pairs of rendered text, and their three levels of difficulty."""

from dataclasses import dataclass

from diglot.synth.text_pairs.charts import KINDS
from diglot.synth.text_pairs.config import WHAT, OcrPairsConfig
from diglot.synth.text_pairs.pages import STYLES
from diglot.synth.text_pairs.photo import Degradation
from diglot.synth.text_pairs.warp import Strength


def list_categories(config: OcrPairsConfig) -> tuple[str, ...]:
    """words/<style of the source>, characters/<the same>, charts/<kind>, in turn."""
    inner = {"words": STYLES, "characters": STYLES, "charts": KINDS}
    return tuple(f"{what}/{name}" for what in WHAT if what in config.what for name in inner[what])


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
