"""Tiles, pixels and token counts of 200 random shapes of images are each stock processor's."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from transformers import Siglip2ImageProcessorPil

from diglot.core.preprocess import Preprocess
from diglot.models.prompt import read_image_text
from diglot.models.tiling import view_pixels
from diglot.models.vlm import VLM, VLMConfig, build_vlm
from tests.models.adapters.stock_processors import load_stock_processor
from tests.models.adapters.test_record_ids import MADE
from tests.models.adapters.tiny_stock import SAVE
from tests.models.export.test_export import export, make

SHAPES = 200


def drawn_images(*, most_aspect: int = 6) -> list[Image.Image]:
    """Noise of random sides of 1 to 150 px, none longer than so many times its short side."""
    rng = np.random.default_rng(11)
    sizes = (tuple(map(int, rng.integers(1, 150, 2))) for _ in range(4 * SHAPES))
    kept = [size for size in sizes if max(size) <= most_aspect * min(size)][:SHAPES]
    assert len(kept) == SHAPES
    return [Image.fromarray(rng.integers(0, 256, (*s, 3), dtype=np.uint8)) for s in kept]


def stock_views(inputs: Any, patch_px: int) -> list[np.ndarray]:
    """(3, H, W) of every view; Qwen2.5-VL's out of its flat patches."""
    pixels = np.asarray(inputs["pixel_values"])
    if "image_grid_thw" not in inputs:
        return list(pixels.reshape(-1, *pixels.shape[-3:]))
    _, rows, columns = (int(n) for n in np.asarray(inputs["image_grid_thw"])[0])
    blocks = pixels.reshape(rows // 2, columns // 2, 2, 2, 3, -1, patch_px, patch_px)[
        :, :, :, :, :, 0
    ]
    view = blocks.transpose(4, 0, 2, 5, 1, 3, 6).reshape(3, rows * patch_px, columns * patch_px)
    return [view]


def check_shapes(vlm: VLM, processor: Any) -> None:
    tokenizer, processor_ = vlm.language.tokenizer, vlm.processor
    image_id = getattr(processor.tokenizer, "image_token_id", processor.image_token_id)
    written = read_image_text(tokenizer).written
    for image in drawn_images():
        shape = (image.height, image.width)
        inputs = processor(images=[image], text=[written], return_tensors="np")
        grid = processor_.token_grid(shape)
        newlines = len(grid.lines)  # each line of joined tiles ends in one
        visual = sum(map(len, grid.lines)) if grid.lines else len(grid)
        count = int((np.asarray(inputs["input_ids"]) == image_id).sum())
        assert visual + newlines == count, shape
        ours = [view.numpy() for view in processor_.picture_views(image)]
        theirs = stock_views(inputs, processor_.patch_px)
        assert len(ours) == len(theirs), shape
        for mine, other in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(mine, other, atol=1e-5, err_msg=str(shape))


@pytest.mark.slow
@pytest.mark.parametrize("row", MADE)
def test_of_each_export(towers, language_folder: Path, tmp_path: Path, row) -> None:
    vlm, config = make(towers, language_folder, row)
    folder = export(vlm, config, row[0], tmp_path / "out")
    check_shapes(vlm, load_stock_processor(folder))


@pytest.mark.slow
@pytest.mark.parametrize("kind", SAVE)
def test_of_each_stock_checkpoint(kind: str, tmp_path: Path) -> None:
    folder = SAVE[kind](tmp_path / "model")
    check_shapes(build_vlm(VLMConfig(stock=str(folder))), load_stock_processor(folder))


@pytest.mark.parametrize(
    ("patch_px", "most"), [(4, 20), pytest.param(16, 9, marks=pytest.mark.slow)]
)
def test_naflex_is_siglip2s(patch_px: int, most: int) -> None:
    """SigLIP2's own processor, whose patches are never merged."""
    processor: Any = Siglip2ImageProcessorPil(patch_size=patch_px, max_num_patches=most)
    preprocess = Preprocess(mode="naflex", min_pixels=1, max_pixels=most * patch_px**2)
    encoder = SimpleNamespace(mean=(0.5,) * 3, std=(0.5,) * 3, resample="bilinear")
    for image in drawn_images(most_aspect=150):
        grid = preprocess.token_grid((image.height, image.width), patch_px=patch_px)
        inputs = processor(image, return_tensors="np")
        assert grid.views[0].grid_hw == tuple(inputs["spatial_shapes"][0]), image.size
        (mine,) = view_pixels(image, grid.views, encoder)
        rows, columns = grid.views[0].grid_hw
        flat = inputs["pixel_values"][0][: rows * columns]
        blocks = flat.reshape(rows, columns, patch_px, patch_px, 3).transpose(4, 0, 2, 1, 3)
        np.testing.assert_allclose(mine.numpy(), blocks.reshape(mine.shape), atol=1e-5)


@pytest.mark.parametrize("unshuffle", [1, 2])
def test_naflex_keeps_its_bound(unshuffle: int) -> None:
    preprocess = Preprocess(mode="naflex", min_pixels=1, max_pixels=64 * 8**2)
    for image in drawn_images(most_aspect=150):
        shape = (image.height, image.width)
        rows, columns = (
            preprocess.token_grid(shape, patch_px=8, unshuffle=unshuffle).views[0].grid_hw
        )
        assert 1 <= rows * columns <= 64 / unshuffle**2
