"""A page that remembers where everything on it is: text is drawn glyph by glyph, at whole pixels.

Coordinates are px of the page, (0, 0) its top left corner, so that pixel (i, j) has its centre at
(i + 0.5, j + 0.5). Boxes are xyxy and hold the ink.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from PIL import Image, ImageDraw

from diglot.core.types import Box, SizeHW
from diglot.synth.text_pairs.fonts import Face

Colour = tuple[int, int, int]
XY = tuple[float, float]
# Draws a part of a chart, with the value or colour given, onto another picture of the page's size.
Shape = Callable[[ImageDraw.ImageDraw, Any], None]


@dataclass(frozen=True, kw_only=True)
class Lettering:
    """How text is drawn."""

    face: Face
    size_px: int
    colour: Colour = (0, 0, 0)
    spacing_px: int = 0  # between glyphs, beyond what the font asks for
    capitals: bool = False

    def drawn(self, text: str) -> str:
        """The characters as they are drawn, as many as in `text`."""
        return text.upper() if self.capitals else text

    def width(self, text: str) -> int:
        """Px from the text's start to the end of its last glyph."""
        glyphs = [_measure_glyph(self.face, self.size_px, c) for c in self.drawn(text)]
        return sum(advance for _, advance in glyphs) + self.spacing_px * (len(text) - 1)

    @property
    def line_px(self) -> int:
        """From one baseline to the next."""
        return round(1.35 * self.size_px)


@dataclass(frozen=True, kw_only=True)
class Mark:
    """Something on a page that may be a keypoint. `key` says what: the same on every page."""

    key: str
    point: XY
    box: Box
    parts: tuple[Box, ...] = ()  # of a text: each character's box but those of spaces


class Canvas:
    """A picture to draw on, the marks left on it, and the shapes of a chart's parts by key."""

    def __init__(self, width: int, height: int, colour: Colour) -> None:
        self.image = Image.new("RGB", (width, height), colour)
        self.draw = ImageDraw.Draw(self.image)
        self.marks: list[Mark] = []
        self.shapes: dict[str, Shape] = {}

    @property
    def size_hw(self) -> SizeHW:
        """Height and width of the page, in px."""
        return self.image.height, self.image.width

    def write(self, text: str, x: float, baseline: float, how: Lettering, *, key: str = "") -> Box:
        """Draw text from `x` on and mark it, as `key` or the text itself. Returns its ink's box."""
        pen, y, parts = round(x), round(baseline), []
        for character in how.drawn(text):
            ink, advance = _measure_glyph(how.face, how.size_px, character)
            if ink is not None:
                font = how.face.at(how.size_px)
                self.draw.text((pen, y), character, fill=how.colour, font=font, anchor="ls")
                parts.append((pen + ink[0], y + ink[1], pen + ink[2], y + ink[3]))
            pen += advance + how.spacing_px
        box = enclose_boxes(parts)
        self.mark(key or text, center_of(box), box, tuple(parts))
        return box

    def draw_part(self, key: str, shape: Shape, colour: Colour) -> None:
        """Draw a part of a chart, and remember its shape."""
        shape(self.draw, colour)
        self.shapes[key] = shape

    def mark(self, key: str, point: XY, box: Box, parts: tuple[Box, ...] = ()) -> None:
        """Remember a place."""
        self.marks.append(Mark(key=key, point=point, box=box, parts=parts))


def center_of(box: Box) -> XY:
    """The middle of a box."""
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def enclose_boxes(boxes: list[Box]) -> Box:
    """The smallest box that holds all of `boxes`, one at least."""
    x0, y0, x1, y1 = zip(*boxes, strict=True)
    return min(x0), min(y0), max(x1), max(y1)


def square_around(point: XY, half_px: float) -> Box:
    """A square box around a point."""
    x, y = point
    return x - half_px, y - half_px, x + half_px, y + half_px


def boxes_overlap(a: Box, b: Box) -> bool:
    """Whether two boxes share an area."""
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


@functools.lru_cache(maxsize=100_000)
def _measure_glyph(face: Face, size_px: int, character: str) -> tuple[Box | None, int]:
    """The ink's box from the pen's place on the baseline (None: no ink), and the pen's way on."""
    font = face.at(size_px)
    mask, (left, top) = font.getmask2(character, mode="L", anchor="ls")
    ink, advance = mask.getbbox(), max(1, round(font.getlength(character)))
    if ink is None:
        return None, advance
    return (left + ink[0], top + ink[1], left + ink[2], top + ink[3]), advance
