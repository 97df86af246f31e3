"""Giving a drawing another colour, so that a colour word in the caption is true."""

from PIL import Image, ImageOps

# sRGB of the middle tone; shadows go to black and lights to white.
COLOURS = {
    "red": (214, 38, 38),
    "orange": (240, 130, 20),
    "yellow": (240, 208, 30),
    "green": (44, 160, 60),
    "blue": (40, 90, 214),
    "purple": (136, 56, 176),
    "pink": (240, 130, 180),
}


def tint(picture: Image.Image, colour: str) -> Image.Image:
    """`picture` (RGBA) in shades of `colour`, a key of COLOURS; its alpha is kept."""
    grey = ImageOps.autocontrast(picture.convert("RGB").convert("L"), cutoff=2)
    shades = ImageOps.colorize(
        grey, black=(20, 20, 20), white=(250, 250, 250), mid=COLOURS[colour], midpoint=140
    )
    shades.putalpha(picture.getchannel("A"))
    return shades
