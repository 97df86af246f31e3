"""Pages of text: every text once, its box that of its ink, to the pixel."""

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from PIL import Image, ImageChops
from tests.synth.text_pairs.ocr_families import FAMILIES

from diglot.synth.text_pairs.canvas import Canvas, Lettering, boxes_overlap
from diglot.synth.text_pairs.page_style import draw_page_style
from diglot.synth.text_pairs.pages import STYLES
from diglot.synth.text_pairs.words import Draw

FACES = [face for family in FAMILIES for face in family.faces]


def ink_box(image, ground):
    return ImageChops.difference(image, Image.new("RGB", image.size, ground)).getbbox()


@pytest.mark.parametrize("face", FACES, ids=lambda face: face.path.stem)
def test_boxes_are_those_of_the_ink(face):
    canvas = Canvas(300, 80, (255, 255, 255))
    how = Lettering(face=face, size_px=24)
    box = canvas.write("jump 7%", 20, 50, how)
    assert box == ink_box(canvas.image, (255, 255, 255))
    (mark,) = canvas.marks
    assert mark.point == ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    assert len(mark.parts) == len("jump7%")


def test_a_characters_box_holds_what_drawing_it_adds():
    for face in FACES[::3]:
        how = Lettering(face=face, size_px=28, spacing_px=3, capitals=True)
        whole = Canvas(300, 80, (255, 255, 255))
        whole.write("fable", 20, 50, how)
        for length in range(1, 6):
            before, after = (Canvas(300, 80, (255, 255, 255)) for _ in "ab")
            if length > 1:
                before.write("fable"[: length - 1], 20, 50, how)
            after.write("fable"[:length], 20, 50, how)
            added = ImageChops.difference(before.image, after.image).getbbox()
            assert added is not None
            x0, y0, x1, y1 = whole.marks[0].parts[length - 1]
            assert x0 <= added[0] <= added[2] <= x1
            assert y0 <= added[1] <= added[3] <= y1


@pytest.mark.parametrize("style", STYLES)
def test_a_style_lays_out_every_text_once_apart_and_on_the_page(style):
    for seed in range(8):
        rng = Random(seed)
        draw = Draw(rng)
        texts = [draw.price() for _ in range(3)] + [draw.any() for _ in range(10 + seed)]
        rng.shuffle(texts)
        page_style = draw_page_style(rng.choice(FAMILIES), rng, dark=seed % 2 == 0, hue=0.1)
        page_style = replace(page_style, capitals=seed % 3 == 0)
        canvas = STYLES[style](texts, page_style, rng)
        assert sorted(mark.key for mark in canvas.marks) == sorted(texts)
        for i, mark in enumerate(canvas.marks):
            x0, y0, x1, y1 = mark.box
            assert 0 < x0 < x1 < canvas.image.width
            assert 0 < y0 < y1 < canvas.image.height
            assert not any(boxes_overlap(mark.box, other.box) for other in canvas.marks[:i])


@pytest.mark.parametrize("style", STYLES)
def test_all_text_stands_out_from_its_ground(style):
    for seed in range(4):
        rng = Random(100 + seed)
        draw = Draw(rng)
        texts = [draw.any() for _ in range(10)]
        page_style = draw_page_style(rng.choice(FAMILIES), rng, dark=seed % 2 == 0, hue=0.1)
        canvas = STYLES[style](texts, page_style, rng)
        grey_HW = np.asarray(canvas.image.convert("L"), int)
        for mark in canvas.marks:
            x0, y0, x1, y1 = map(int, mark.box)
            assert np.ptp(grey_HW[y0:y1, x0:x1]) > 60, (style, seed, mark.key)
