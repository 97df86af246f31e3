"""Whether a font draws Latin letters as such: symbol fonts put other signs in their places.

Each glyph, stretched to one size, is matched to the glyphs of fonts known to be Latin.
"""

import functools
import string
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

# Every character that the set may draw.
CHARACTERS = string.ascii_letters + string.digits + "$%.,:-"
# Left out are pairs that one shape serves for, as o and O. A share of each class must be matched.
_CLASSES = {"ABCDEFGHJKLMNPQRSTUVWXYZ": 0.4, "abdefghijkmnqrty": 0.4, "23456789": 0.4, "$": 1.0}
_ASKED = "".join(_CLASSES)
_KNOWN = ("DejaVuSans", "DejaVuSansMono", "DejaVuSerif", "DejaVuSerif-Italic")
_KNOWN += ("STIXGeneral", "STIXGeneralItalic")
_GLYPH_PX = 32
_MATCH_HW = (24, 20)


def bundled_folder() -> Path:
    """The fonts that matplotlib brings: DejaVu, STIX and Computer Modern."""
    return Path(matplotlib.get_data_path()) / "fonts" / "ttf"


def plain_font(path: Path, size_px: int) -> ImageFont.FreeTypeFont:
    """The font at a size. No ligatures, so that every character has a place of its own."""
    return ImageFont.truetype(str(path), size_px, layout_engine=ImageFont.Layout.BASIC)


def draws_latin(path: Path) -> bool:
    """Whether the font has all of CHARACTERS, and most look as they should."""
    try:
        font = plain_font(path, _GLYPH_PX)
        missing = _draw_glyph(font, "\uffff").tobytes()
        drawn = (_draw_glyph(font, character) for character in CHARACTERS)
        if any(glyph.getbbox() is None or glyph.tobytes() == missing for glyph in drawn):
            return False
    except (OSError, ValueError):  # a broken file, or one without outlines
        return False
    glyphs_CX = np.stack([_stretch_glyph(font, character) for character in _ASKED])
    matched_C = np.einsum("kcx,nx->nkc", _known_KCX(), glyphs_CX).max(1).argmax(1)
    right_C = matched_C == np.arange(len(_ASKED))
    return all(
        right_C[[_ASKED.index(character) for character in characters]].mean() >= share
        for characters, share in _CLASSES.items()
    )


@functools.cache
def _known_KCX() -> np.ndarray:
    fonts = [plain_font(bundled_folder() / f"{name}.ttf", _GLYPH_PX) for name in _KNOWN]
    return np.stack([[_stretch_glyph(font, c) for c in _ASKED] for font in fonts])


def _draw_glyph(font: ImageFont.FreeTypeFont, character: str) -> Image.Image:
    left, top, right, bottom = (round(side) for side in font.getbbox(character))
    glyph = Image.new("L", (max(1, right - left), max(1, bottom - top)))
    ImageDraw.Draw(glyph).text((-left, -top), character, fill=255, font=font)
    return glyph


def _stretch_glyph(font: ImageFont.FreeTypeFont, character: str) -> np.ndarray:
    """The glyph's ink at one size, of mean 0 and length 1."""
    glyph = _draw_glyph(font, character)
    height, width = _MATCH_HW
    values_X = np.asarray(glyph.crop(glyph.getbbox()).resize((width, height)), np.float64).ravel()
    values_X -= values_X.mean()
    return values_X / max(float(np.linalg.norm(values_X)), 1e-9)
