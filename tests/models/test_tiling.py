"""Views and their cells against transformers' own image processors.

Two independent checks a mode: pixels equal the processor's, and a picture whose colours are its
coordinates, pushed through the processor, comes out with every cell where TokenGrid says it lies.
"""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from transformers import (
    CLIPImageProcessorPil,
    GotOcr2ImageProcessorPil,
    LlavaImageProcessorPil,
    Qwen2VLImageProcessorPil,
    SiglipImageProcessorPil,
)
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import get_optimal_tiled_canvas
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

from diglot.core.geometry import TokenGrid
from diglot.core.native_sizes import native_size
from diglot.core.preprocess import Preprocess
from diglot.core.tile_grids import least_upscaled_grid, tile_grid
from diglot.models.tiling import view_pixels
from tests.models.adapters.stock_processors import CohereImages, read_cohere_rule

PATCH, SIDE = 8, 64
SIZES = [(100, 200), (200, 100), (97, 97), (61, 239), (233, 87), (64, 64), (33, 50)]
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)

SQUARE = {"height": SIDE, "width": SIDE}
NATIVE = {"min_pixels": 32 * 32, "max_pixels": 100 * 100}
CASES = {
    "squash": (
        Preprocess(mode="squash", image_px=SIDE),
        SiglipImageProcessorPil(size=SQUARE, resample=3),
    ),
    "center_crop": (
        Preprocess(mode="center_crop", image_px=SIDE),
        CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size=SQUARE),
    ),
    "pad": (
        Preprocess(mode="pad", image_px=SIDE),
        LlavaImageProcessorPil(size=SQUARE, crop_size=SQUARE, do_pad=True),
    ),
    "tiles": (
        Preprocess(mode="tiles", image_px=SIDE, max_tiles=6),
        GotOcr2ImageProcessorPil(size=SQUARE, crop_to_patches=True, max_patches=6),
    ),
    "cohere_tiles": (
        Preprocess(mode="cohere_tiles", image_px=SIDE, max_tiles=6),
        CohereImages(size=SQUARE, crop_to_patches=True, max_patches=6),
    ),
    "native": (
        Preprocess(mode="native", **NATIVE),
        Qwen2VLImageProcessorPil(patch_size=PATCH, merge_size=1, temporal_patch_size=1, **NATIVE),
    ),
}
modes = pytest.mark.parametrize("mode", list(CASES))
shapes = pytest.mark.parametrize("size_hw", SIZES, ids=str)


def processed(mode: str, image: Image.Image, **options) -> list[np.ndarray]:
    """(3, H, W) of every view, as the processor makes it."""
    out = CASES[mode][1](image, return_tensors="np", **options)
    if mode != "native":
        return list(out["pixel_values"])
    _, rows, columns = out["image_grid_thw"][0]
    patches = out["pixel_values"].reshape(rows, columns, 3, PATCH, PATCH)
    return [patches.transpose(2, 0, 3, 1, 4).reshape(3, rows * PATCH, columns * PATCH)]


def grid_of(mode: str, size_hw: tuple[int, int]) -> TokenGrid:
    return CASES[mode][0].token_grid(size_hw, patch_px=PATCH)


def coordinates(size_hw: tuple[int, int]) -> Image.Image:
    """Red is the column, green the row, blue is full."""
    y, x = np.indices(size_hw)
    return Image.fromarray(np.stack([x, y, np.full(size_hw, 255)], axis=-1).astype(np.uint8))


def cell_means(view_3HW: np.ndarray) -> np.ndarray:
    """Mean colour of each cell, (cells, 3), row-major."""
    rows, columns = (side // PATCH for side in view_3HW.shape[1:])
    blocks = view_3HW.reshape(3, rows, PATCH, columns, PATCH).mean(axis=(2, 4))
    return blocks.reshape(3, -1).T


@modes
@shapes
def test_every_cell_lies_where_the_processor_put_it(mode: str, size_hw: tuple[int, int]) -> None:
    views = processed(mode, coordinates(size_hw), do_rescale=False, do_normalize=False)
    grid = grid_of(mode, size_hw)
    means = np.concatenate([cell_means(view) for view in views])
    assert len(means) == len(grid)
    x0, y0, x1, y1 = grid.cells_P4.T
    height, width = size_hw
    # Cells that reach beyond the image hold padding; resampling bends the ramp by its own reach
    # at the border of the image, so that cells at the border get more slack.
    on_image = (x0 > -1e-6) & (y0 > -1e-6) & (x1 < width + 1e-6) & (y1 < height + 1e-6)
    assert on_image.any()
    slack = 0.6 + 0.02 * (x1 - x0)
    assert (np.abs(means[:, 0] + 0.5 - (x0 + x1) / 2) < slack)[on_image].all()
    assert (np.abs(means[:, 1] + 0.5 - (y0 + y1) / 2) < slack)[on_image].all()


@modes
@shapes
def test_pixels_are_the_processors(mode: str, size_hw: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8))
    image = coarse.resize((size_hw[1], size_hw[0]), Image.Resampling.BICUBIC)
    mean, std = (CASES[mode][1].image_mean, CASES[mode][1].image_std)
    encoder = SimpleNamespace(mean=tuple(mean), std=tuple(std), resample="bicubic")
    grid = grid_of(mode, size_hw)
    ours = view_pixels(image, grid.views, encoder)
    theirs = processed(mode, image)
    assert len(ours) == len(theirs)
    for view, mine, other in zip(grid.views, ours, theirs, strict=True):
        assert mine.dtype == torch.float32
        assert mine.shape == other.shape == (3, *view.size_hw)
        np.testing.assert_allclose(mine.numpy(), other, atol=1e-5)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.integers(1, 300), st.integers(1, 300))
def test_pad_is_llavas_on_any_shape(height: int, width: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    image, processor = Image.fromarray(noise), CASES["pad"][1]
    encoder = SimpleNamespace(mean=MEAN, std=STD, resample="bicubic")
    (mine,) = view_pixels(image, grid_of("pad", (height, width)).views, encoder)
    np.testing.assert_allclose(mine.numpy(), processed("pad", image)[0], atol=1e-5)
    assert tuple(processor.image_mean) == MEAN


@pytest.mark.parametrize("size_hw", [(20, 80), (80, 20)])
def test_padding_is_the_encoders_mean_colour(size_hw: tuple[int, int]) -> None:
    encoder = SimpleNamespace(mean=MEAN, std=STD, resample="bicubic")
    image = Image.new("RGB", (size_hw[1], size_hw[0]), (255, 0, 255))
    (pixels,) = view_pixels(image, grid_of("pad", size_hw).views, encoder)
    (view,) = grid_of("pad", size_hw).views
    left, top = -view.canvas[0], -view.canvas[1]
    assert max(top, left) == 30
    padding = torch.ones(SIDE, SIDE, dtype=torch.bool)
    edge = 26 if top else 0  # 30 of 80 pixels, of 64, but for the resampling's reach
    across = 0 if top else 26
    padding[20 * bool(top) : SIDE - 20 * bool(top), 20 * bool(left) : SIDE - 20 * bool(left)] = (
        False
    )
    inside = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    inside[edge : SIDE - edge, across : SIDE - across] = True
    assert pixels[:, padding].abs().max() < 0.02  # a grey level over std
    assert pixels[:, inside].abs().min() > 1


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(1, 12), st.sampled_from([224, 448]))
@example(512, 640, 2, 448)  # as far from 1 x 2 tiles as from 2 x 1
def test_tile_grid_is_internvls(height: int, width: int, max_tiles: int, tile_px: int) -> None:
    columns, rows = get_optimal_tiled_canvas((height, width), (tile_px, tile_px), 1, max_tiles)
    assert tile_grid((height, width), max_tiles=max_tiles, tile_px=tile_px) == (rows, columns)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(1, 12), st.sampled_from([224, 448]))
def test_cohere_tiles_are_cohere2visions(h: int, w: int, max_tiles: int, tile_px: int) -> None:
    rule = read_cohere_rule()
    columns, rows = rule((h, w), (tile_px, tile_px), 1, max_tiles)
    assert least_upscaled_grid((h, w), max_tiles=max_tiles, tile_px=tile_px) == (rows, columns)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.integers(1, 5000), st.integers(1, 5000), st.sampled_from([14, 28]))
def test_native_size_is_qwen2_vls(height: int, width: int, cell_px: int) -> None:
    if max(height, width) > 200 * min(height, width):
        return
    bounds = {"min_pixels": 56 * 56, "max_pixels": 28 * 28 * 1280}
    ours = native_size((height, width), cell_px=cell_px, **bounds)
    theirs = smart_resize(height, width, factor=cell_px, **bounds)
    assert ours == theirs
