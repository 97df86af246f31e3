"""Pools of pictures made in memory."""

import numpy as np
from PIL import Image, ImageDraw

from diglot.synth.scenes.pools import ArrayPool

PHOTO_NAMES = ("airplane", "dog", "frog", "ship", "truck")
SHAPE_NAMES = ("apple", "bell", "crown", "drum", "key", "octopus", "pear")


def photos(share=None, per_name=6):
    """A pool of noise photographs; train and test pictures differ."""

    def side(seed):
        count = per_name * len(PHOTO_NAMES)
        images = np.random.default_rng(seed).integers(0, 255, (count, 8, 8, 3), dtype=np.uint8)
        return images, np.arange(count) % len(PHOTO_NAMES), PHOTO_NAMES

    return ArrayPool("photos", {"train": side(1), "test": side(2)}, share=share)


class Shapes:
    """Grey ellipses under several names, twice as wide as high."""

    name, share, drawn = "shapes", None, True
    names = SHAPE_NAMES

    def pictures(self, name, side):
        return [f"all/{name}"]

    def render(self, key, size_px):
        picture = Image.new("RGBA", (size_px, max(1, size_px // 2)), (0, 0, 0, 0))
        right, bottom = picture.width - 1, picture.height - 1
        draw = ImageDraw.Draw(picture)
        draw.ellipse((0, 0, right, bottom), fill=(150, 150, 150, 255))
        draw.ellipse((right // 3, bottom // 3, right // 2, bottom // 2), fill=(40, 40, 40, 255))
        return picture


def pools(share=0.5):
    return [photos(share), Shapes()]
