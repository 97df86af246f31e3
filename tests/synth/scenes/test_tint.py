import colorsys

import numpy as np
import pytest
from PIL import Image, ImageDraw

from diglot.synth.scenes.tint import COLOURS, tint_picture


def drawing(fill):
    picture = Image.new("RGBA", (40, 40), (0, 0, 0, 0))
    draw = ImageDraw.Draw(picture)
    draw.ellipse((2, 2, 37, 37), fill=fill)
    draw.rectangle((10, 10, 18, 18), fill=(250, 250, 250, 255))
    draw.rectangle((22, 22, 28, 28), fill=(10, 10, 10, 255))
    return picture


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("fill", [(255, 255, 255, 255), (20, 20, 20, 255), (30, 200, 90, 255)])
def test_the_colour_is_the_one_it_is_called(colour, fill):
    picture = drawing(fill)
    tinted = tint_picture(picture, colour)
    assert tinted.getchannel("A").tobytes() == picture.getchannel("A").tobytes()
    pixels = np.asarray(tinted)
    mean = pixels[pixels[..., 3] > 0][:, :3].mean(axis=0)
    distances = {name: np.abs(mean - np.array(rgb)).sum() for name, rgb in COLOURS.items()}
    assert min(distances, key=distances.get) == colour
    hue, wanted = (colorsys.rgb_to_hsv(*(c / 255))[0] for c in (mean, np.array(COLOURS[colour])))
    assert min(abs(hue - wanted), 1 - abs(hue - wanted)) < 0.03


def test_light_and_dark_stay_apart():
    pixels = np.asarray(tint_picture(drawing((128, 128, 128, 255)), "blue")).astype(int)
    assert pixels[14, 14, :3].sum() > pixels[20, 20, :3].sum() > pixels[25, 25, :3].sum()


def test_a_fully_transparent_picture_is_no_error():
    assert tint_picture(Image.new("RGBA", (3, 3)), "red").size == (3, 3)
