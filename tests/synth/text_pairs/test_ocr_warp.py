"""Warps of pages: exact both ways, and pixels go where points go."""

import math
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from diglot.synth.text_pairs.levels import LEVELS
from diglot.synth.text_pairs.warp import Warp, Wave, draw_warp, find_homography

HARD = LEVELS[-1].strength


def drawn(seed, page_hw=(240, 320), strength=HARD):
    return draw_warp(page_hw, strength, Random(seed))


def identity(image_hw):
    return Warp(image_hw=image_hw, waves=(), page_to_image_33=np.eye(3))


def centroid(weight_HW):
    y_HW, x_HW = np.mgrid[: weight_HW.shape[0], : weight_HW.shape[1]] + 0.5
    return np.array([(x_HW * weight_HW).sum(), (y_HW * weight_HW).sum()]) / weight_HW.sum()


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**9), height=st.integers(60, 900), width=st.integers(60, 900))
def test_backward_undoes_forward(seed, height, width):
    warp = drawn(seed, (height, width))
    points_N2 = np.random.default_rng(seed).random((50, 2)) * (width, height)
    np.testing.assert_allclose(warp.backward(warp.forward(points_N2)), points_N2, atol=1e-7)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**9), x=st.integers(20, 300), y=st.integers(20, 220))
def test_a_dot_is_shown_where_its_point_goes(seed, x, y):
    warp = drawn(seed, strength=LEVELS[1].strength)  # no crop: the whole page shows
    page = np.zeros((240, 320, 3), np.uint8)
    page[y - 3 : y + 3, x - 3 : x + 3] = 255  # six pixels a side around the corner (x, y)
    shown_HW = warp.picture(Image.fromarray(page), (0, 0, 0))[..., 0].astype(float)
    (expected,) = warp.forward(np.array([[float(x), float(y)]]))
    np.testing.assert_allclose(centroid(shown_HW), expected, atol=0.25)


def test_no_warp_shows_the_page_itself():
    page = np.random.default_rng(0).integers(0, 256, (30, 40, 3)).astype(np.uint8)
    shown = identity((30, 40)).picture(Image.fromarray(page), (1, 2, 3))
    np.testing.assert_array_equal(shown, page)


def test_what_is_beyond_the_page_has_the_colour_behind_it():
    page = Image.new("RGB", (10, 10), (255, 255, 255))
    shown = identity((20, 20)).picture(page, (10, 20, 30))
    assert (shown[:10, :10] == 255).all()
    assert (shown[11:, 11:] == (10, 20, 30)).all()


def test_a_wave_alone_by_hand():
    wave = Wave(moved=0, amount_px=5, period_px=40, phase=0.5)
    warp = Warp(image_hw=(10, 10), waves=(wave,), page_to_image_33=np.eye(3))
    x, y = 7.0, 13.0
    expected = [[x + 5 * math.sin(2 * math.pi * y / 40 + 0.5), y]]
    np.testing.assert_allclose(warp.forward(np.array([[x, y]])), expected)


def test_perspective_takes_four_points_to_four():
    rng = np.random.default_rng(3)
    square_42 = np.array([[0, 0], [100, 0], [100, 50], [0, 50]], float)
    there_42 = square_42 + rng.uniform(-9, 9, (4, 2))
    warp = Warp(image_hw=(1, 1), waves=(), page_to_image_33=find_homography(square_42, there_42))
    np.testing.assert_allclose(warp.forward(square_42), there_42, atol=1e-9)


@pytest.mark.parametrize("level", LEVELS, ids=lambda level: level.name)
def test_the_picture_holds_the_page_unless_it_is_cropped(level):
    corners_42 = np.array([[0, 0], [320, 0], [320, 240], [0, 240]], float)
    for seed in range(30):
        warp = drawn(seed, strength=level.strength)
        height, width = warp.image_hw
        margin_px = level.strength.crop_share * 320 + 2
        moved_42 = warp.forward(corners_42)
        assert (moved_42 > -margin_px).all()
        assert (moved_42 < np.array([width, height]) + margin_px).all()


def test_a_boxs_extent_holds_all_its_points():
    rng = np.random.default_rng(1)
    for seed in range(20):
        warp = drawn(seed)
        x0, y0, x1, y1 = warp.box((40, 50, 140, 80))
        inside_N2 = rng.random((400, 2)) * (100, 30) + (40, 50)
        moved_N2 = warp.forward(inside_N2)
        assert (moved_N2 > [x0 - 0.3, y0 - 0.3]).all()
        assert (moved_N2 < [x1 + 0.3, y1 + 0.3]).all()
