"""Giving a drawing another colour, so that a colour word in the caption is true."""

import numpy as np
from PIL import Image

COLOURS = {  # sRGB
    "red": (214, 38, 38),
    "orange": (240, 130, 20),
    "yellow": (240, 208, 30),
    "green": (44, 160, 60),
    "blue": (40, 90, 214),
    "purple": (136, 56, 176),
    "pink": (240, 130, 180),
}
_CONTRAST = 0.9  # of the drawing's light and dark that stays


def tint_picture(picture: Image.Image, colour: str) -> Image.Image:
    """`picture` (RGBA) in shades of `colour`, a key of COLOURS, that colour on average.

    Lighter parts go towards white, darker ones towards black; alpha is kept.
    """
    grey = np.asarray(picture.convert("RGB").convert("L"), dtype=np.float32) / 255
    alpha = picture.getchannel("A")
    weight = np.asarray(alpha, dtype=np.float32)
    mean = float((grey * weight).sum() / max(1.0, float(weight.sum())))
    shade = np.clip(1 + _CONTRAST * (grey - mean), 0.3, 1.6)[..., None]
    full = np.array(COLOURS[colour], dtype=np.float32)
    pixels = full * np.minimum(shade, 1) + (255 - full) * np.maximum(shade - 1, 0)
    tinted = Image.fromarray(pixels.round().astype(np.uint8))
    tinted.putalpha(alpha)
    return tinted
