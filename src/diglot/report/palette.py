"""Colours that stay apart for colour-blind readers, on a white, a dark and a photographic ground.

Built on the hues of Okabe and Ito, "Color Universal Design" (2008), the lightness of each moved
until it stands out 3:1 from both page grounds; tests hold them to that.
"""

from collections.abc import Sequence

LIGHT_GROUND = "#ffffff"
DARK_GROUND = "#14171c"

ENTITY_COLOURS = (
    "#0b79bd",  # blue
    "#d55e00",  # vermilion
    "#009e73",  # green
    "#bd5fa0",  # purple
    "#a97b00",  # ochre
    "#3f97cf",  # sky
    "#8a6248",  # brown
    "#7b7f86",  # grey
)
RUN_COLOURS = ("#0b79bd", "#d55e00", "#009e73", "#bd5fa0", "#a97b00", "#7b7f86")
RUN_SHAPES = ("circle", "square", "diamond", "triangle")
RUN_DASHES = ("none", "6 3", "2 3", "9 3 2 3")

# Stops of matplotlib's "inferno" (CC0), dark to bright: lightness alone carries the order.
_HEAT_STOPS = ((0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164))
HEAT_LEVELS = 12


def entity_colour(index: int) -> str:
    """Colour of the `index`-th entity of a scene; they repeat after eight, their numbers do not."""
    return ENTITY_COLOURS[index % len(ENTITY_COLOURS)]


def heat_colours() -> tuple[str, ...]:
    """HEAT_LEVELS colours from low to high."""
    return tuple(_heat_colour(level / (HEAT_LEVELS - 1)) for level in range(HEAT_LEVELS))


def _heat_colour(share: float) -> str:
    position = share * (len(_HEAT_STOPS) - 1)
    left = min(int(position), len(_HEAT_STOPS) - 2)
    mix = position - left
    pairs = zip(_HEAT_STOPS[left], _HEAT_STOPS[left + 1], strict=True)
    return _write_hex([round(a + (b - a) * mix) for a, b in pairs])


def _write_hex(rgb: Sequence[int]) -> str:
    return "#" + "".join(f"{channel:02x}" for channel in rgb)


def relative_luminance(colour: str) -> float:
    """Relative luminance in [0, 1] of "#rrggbb" (WCAG 2.2)."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast_ratio(one: str, other: str) -> float:
    """Contrast ratio of two colours, in [1, 21] (WCAG 2.2)."""
    low, high = sorted((relative_luminance(one), relative_luminance(other)))
    return (high + 0.05) / (low + 0.05)


def ink_on(colour: str) -> str:
    """Black or white, whichever is easier to read on `colour`; never under 4.5:1."""
    return max(("#000000", "#ffffff"), key=lambda ink: contrast_ratio(ink, colour))
