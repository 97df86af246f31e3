"""LLaVA-NeXT's tiles: grid, pixels and token counts equal its stock processor's."""

import numpy as np
import pytest
from PIL import Image
from transformers import LlavaNextImageProcessorPil, LlavaNextProcessor

from diglot.core.errors import ConfigError, DataError
from diglot.core.preprocess import Preprocess
from diglot.models.tiling import view_pixels
from tests.tiny import TinyEncoder, tiny_tokenizer

SIDE, PATCH = 48, 4
GRIDS = Preprocess().tile_grids


def shapes(count: int, largest: int) -> list[tuple[int, int]]:
    """Random sizes, none longer than 6 times its short side."""
    rng = np.random.default_rng(7)
    drawn = (tuple(map(int, rng.integers(1, largest, 2))) for _ in range(3 * count))
    return [size for size in drawn if max(size) <= 6 * min(size)][:count]


def stock(side: int) -> LlavaNextImageProcessorPil:
    return LlavaNextImageProcessorPil(
        size={"shortest_edge": side},
        crop_size={"height": side, "width": side},
        image_grid_pinpoints=[[rows * side, columns * side] for rows, columns in GRIDS],
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
        resample=Image.Resampling.BILINEAR,
    )


@pytest.fixture(scope="module")
def processor() -> LlavaNextProcessor:
    return LlavaNextProcessor(stock(SIDE), tiny_tokenizer(), patch_size=PATCH)


def test_pixels_equal_the_stock_processors_on_200_shapes() -> None:
    assert len(shapes(210, 150)) == 210
    images, rng = stock(SIDE), np.random.default_rng(0)
    for size_hw in shapes(210, 150):
        image = Image.fromarray(rng.integers(0, 256, (*size_hw, 3), dtype=np.uint8))
        grid = Preprocess(mode="anyres", image_px=SIDE).token_grid(size_hw, patch_px=PATCH)
        ours = np.stack([view.numpy() for view in view_pixels(image, grid.views, TinyEncoder())])
        theirs = images(image, return_tensors="np")["pixel_values"][0]
        assert ours.shape == theirs.shape, size_hw
        np.testing.assert_allclose(ours, theirs, atol=1e-6, err_msg=str(size_hw))


@pytest.mark.parametrize("side", [48, 384])
def test_token_counts_equal_the_stock_processors(processor, side: int) -> None:
    processor.image_processor = stock(side)
    for size_hw in shapes(400, 2000):
        grid = Preprocess(mode="anyres", image_px=side).token_grid(size_hw, patch_px=PATCH)
        want = processor._get_number_of_features(*size_hw, side, side)
        assert sum(len(line) + 1 for line in grid.lines) == want, size_hw


def test_lines_run_over_the_tiles() -> None:
    grid = Preprocess(mode="anyres", image_px=16).token_grid((16, 32), patch_px=8)
    assert [view.kind for view in grid.views] == ["thumbnail", "tile", "tile"]
    assert grid.lines == ((0, 1, 2, 3, 4, 5, 8, 9), (6, 7, 10, 11))
    assert len(grid) == 12
    row = grid.cells_P4[list(grid.lines[1])]
    assert row[:, 0].tolist() == [0, 8, 16, 24]
    assert set(row[:, 1]) == {8}


def test_padding_is_neither_read_nor_covered() -> None:
    grid = Preprocess(mode="anyres", image_px=16).token_grid((8, 64), patch_px=4)
    read = [cell for line in grid.lines for cell in line]
    assert len(read) < len(grid)
    covered = grid.box_cover((0, 0, 64, 8))
    assert all(covered[cell] > 0 for cell in read)


def test_a_thread_of_an_image_is_refused() -> None:
    with pytest.raises(DataError, match="too long and thin"):
        Preprocess(mode="anyres", image_px=SIDE).token_grid((2, 300), patch_px=PATCH)


def test_a_grid_needs_tiles() -> None:
    with pytest.raises(ConfigError, match="tile_grids"):
        Preprocess(mode="anyres", tile_grids=((0, 2),))
