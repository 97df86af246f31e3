"""Qwen2.5-VL's ViT before its merger, from a tiny random checkpoint of the whole model."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import (
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLImageProcessorPil,
)

from diglot.core.errors import ConfigError
from diglot.core.preprocess import Preprocess
from diglot.models.encoder import unshuffle_cells
from diglot.models.encoders.qwen2_5_vl import Config, Qwen25ViT, build
from diglot.models.tiling import view_pixels

PATCH, WINDOW = 8, 32


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    vision = {
        "depth": 3,
        "hidden_size": 32,
        "num_heads": 4,
        "intermediate_size": 48,
        "patch_size": PATCH,
        "window_size": WINDOW,
        "fullatt_block_indexes": [1],
        "out_hidden_size": 16,
    }
    text = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "vocab_size": 50,
        "rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2]},
    }
    torch.manual_seed(0)
    config = Qwen2_5_VLConfig(vision_config=vision, text_config=text)
    model = Qwen2_5_VLForConditionalGeneration(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    path = tmp_path_factory.mktemp("qwen")
    model.save_pretrained(path)
    return path


@pytest.mark.parametrize("size_hw", [(70, 130), (130, 70), (50, 50), (33, 200)])
@torch.no_grad()
def test_merged_features_are_the_models_own(folder: Path, size_hw: tuple[int, int]) -> None:
    """The stock processor and the whole tower, against our pixels, grid and its merger."""
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (*size_hw, 3), dtype=np.uint8))
    bounds = {"min_pixels": 32 * 32, "max_pixels": 128 * 128}
    processor = Qwen2VLImageProcessorPil(patch_size=PATCH, merge_size=2, **bounds)
    inputs = processor(image, return_tensors="pt")
    stock = Qwen2_5_VLForConditionalGeneration.from_pretrained(folder).eval().model.visual
    want = stock(inputs["pixel_values"], grid_thw=inputs["image_grid_thw"]).pooler_output
    encoder = build(Config(path=str(folder))).eval()
    preprocess = Preprocess(mode="native", **bounds)
    views = preprocess.token_grid(size_hw, patch_px=PATCH, unshuffle=2).views
    features_VhwE = encoder(view_pixels(image, views, encoder)[0][None])
    blocks_VrcE = unshuffle_cells(features_VhwE, 2)
    got = encoder.tower.merger(blocks_VrcE.reshape(-1, 32))
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_views_of_a_batch_are_apart(folder: Path) -> None:
    encoder = build(Config(path=str(folder))).eval()
    pixels = torch.randn(3, 3, 48, 80, generator=torch.Generator().manual_seed(0))
    together, alone = encoder(pixels), torch.cat([encoder(view[None]) for view in pixels])
    assert together.shape == (3, 6, 10, 32)
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)


def test_an_order_that_is_not_known_is_refused(folder: Path, monkeypatch) -> None:
    monkeypatch.setattr(
        "diglot.models.encoders.qwen2_5_vl.get_vision_window_index",
        lambda grid, **settings: (torch.arange(int(grid.prod()) // 4), None),
    )
    tower = build_tower(folder, monkeypatch)
    with pytest.raises(ConfigError, match="orders its patches"):
        Qwen25ViT(Config(path=str(folder)), tower)


def build_tower(folder: Path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Qwen25ViT, "_check_order", lambda self: None)
        return build(Config(path=str(folder))).tower


def test_what_it_cannot_read(folder: Path, towers: dict[str, Path]) -> None:
    with pytest.raises(ConfigError, match=r"'clip' checkpoint"):
        build(Config(path=str(towers["clip"])))
    with pytest.raises(ConfigError, match="whole blocks"):
        build(Config(path=str(folder)))(torch.zeros(1, 3, 24, 32))
