"""The style of a page: its family, colours that can be read on each other, size, and the ground."""

import colorsys
from dataclasses import dataclass, replace
from random import Random

import numpy as np
from PIL import Image

from diglot.synth.text_pairs.canvas import Canvas, Colour, Lettering
from diglot.synth.text_pairs.fonts import Family

GROUNDS = ("flat", "flat", "gradient", "blotches", "stripes")
COLOURS = 6  # of a chart's parts
_TEXTURE_LEVELS = 6  # how far a ground's texture strays from its colour, of 255


@dataclass(frozen=True, kw_only=True)
class PageStyle:
    """Family, colours, ground and scale of one page."""

    family: Family
    paper: Colour
    ink: Colour
    accent: Colour  # reads on the paper; the paper reads on it
    parts: tuple[Colour, ...]  # of a chart: COLOURS distinct from each other and the paper
    ground: str
    scale: float = 1.0  # of all sizes
    capitals: bool = False

    def lettering(self, rng: Random, size_px: float, *, bold: bool | None = None) -> Lettering:
        """Letters in the style's family, ink and scale, in a face drawn at random."""
        faces = self.family.faces
        wanted = [face for face in faces if bold is None or face.bold == bold] or list(faces)
        return Lettering(
            face=rng.choice(wanted),
            size_px=round(self.scale * size_px),
            colour=self.ink,
            capitals=self.capitals,
        )

    def accented(self, how: Lettering) -> Lettering:
        """The same letters in the accent's colour."""
        return replace(how, colour=self.accent)


def draw_page_style(
    family: Family, rng: Random, *, dark: bool, hue: float, capitals: bool = False
) -> PageStyle:
    """A style in `family`: paper and ink far apart in lightness, most else drawn at random.

    `hue`, in [0, 1), is that of the first of a chart's parts; the others' follow round the circle.
    """
    paper_light, ink_light = (0.12, 0.94) if dark else (0.93, 0.14)
    part_light = 0.62 if dark else 0.42
    return PageStyle(
        family=family,
        paper=_make_colour(
            rng.random(), paper_light + rng.uniform(-0.06, 0.06), rng.uniform(0, 0.7)
        ),
        ink=_make_colour(rng.random(), ink_light + rng.uniform(-0.05, 0.05), rng.uniform(0, 0.8)),
        accent=_make_colour(rng.random(), 0.75 if dark else 0.3, rng.uniform(0.5, 0.9)),
        parts=tuple(_make_colour(hue + k / COLOURS, part_light, 0.65) for k in range(COLOURS)),
        ground=rng.choice(GROUNDS),
        scale=rng.uniform(0.9, 1.15),
        capitals=capitals,
    )


def blank_page(width: int, height: int, style: PageStyle, rng: Random) -> Canvas:
    """A canvas with the style's ground."""
    canvas = Canvas(width, height, style.paper)
    if style.ground != "flat":
        generator = np.random.default_rng(rng.getrandbits(64))
        pattern_HW = _draw_pattern(style.ground, width, height, generator)
        pattern = Image.fromarray((128 + _TEXTURE_LEVELS * pattern_HW).astype(np.uint8))
        channels = [
            pattern.point([_clip_level(level + v - 128) for v in range(256)])
            for level in style.paper
        ]
        canvas.image.paste(Image.merge("RGB", channels))
    return canvas


def _clip_level(level: int) -> int:
    return min(max(level, 0), 255)


def _draw_pattern(ground: str, width: int, height: int, rng: np.random.Generator) -> np.ndarray:
    """Values in [-1, 1], float32 (height, width)."""
    if ground == "blotches":
        coarse = Image.fromarray(rng.uniform(-1, 1, (5, 6)).astype(np.float32))
        return np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)).clip(-1, 1)
    turn = rng.uniform(0, 2 * np.pi)
    x_W = np.cos(turn) * np.linspace(-0.5, 0.5, width, dtype=np.float32)
    y_H = np.sin(turn) * np.linspace(-0.5, 0.5, height, dtype=np.float32)
    along_HW = x_W[None] + y_H[:, None]  # within 0.71 of 0
    if ground == "gradient":
        return 1.4 * along_HW
    return np.sign(np.sin(along_HW * np.float32(rng.uniform(30, 120))))


def _make_colour(hue: float, lightness: float, saturation: float) -> Colour:
    red, green, blue = colorsys.hls_to_rgb(hue % 1, min(max(lightness, 0), 1), saturation)
    return round(255 * red), round(255 * green), round(255 * blue)
