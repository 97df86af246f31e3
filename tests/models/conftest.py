"""Tiny checkpoints on disk, made once."""

from pathlib import Path

import pytest
import torch
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPVisionModel,
    Dinov2Config,
    Dinov2Model,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
    DINOv3ViTConfig,
    DINOv3ViTModel,
    Siglip2Config,
    Siglip2Model,
    Siglip2VisionModel,
    SiglipConfig,
    SiglipModel,
    SiglipVisionModel,
)

from tests.tiny import tiny_language

SHAPE = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "patch_size": 8,
}
VISION = {**SHAPE, "image_size": 32}
TEXT = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "vocab_size": 50,
    "max_position_embeddings": 8,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}


def _models() -> dict[str, torch.nn.Module]:
    pair = {"vision_config": VISION, "text_config": TEXT}
    naflex = {"vision_config": {**SHAPE, "num_patches": 16}, "text_config": TEXT}
    clip, siglip, siglip2 = CLIPConfig(**pair), SiglipConfig(**pair), Siglip2Config(**naflex)
    return {
        "clip": CLIPModel(clip),
        "clip_vision": CLIPVisionModel(clip.vision_config),
        "siglip": SiglipModel(siglip),
        "siglip_vision": SiglipVisionModel(siglip.vision_config),
        "siglip2": Siglip2Model(siglip2),
        "siglip2_vision": Siglip2VisionModel(siglip2.vision_config),
        "dinov2": Dinov2Model(Dinov2Config(**VISION)),
        "dinov2_registers": Dinov2WithRegistersModel(
            Dinov2WithRegistersConfig(**VISION, num_register_tokens=4)
        ),
        "dinov3": DINOv3ViTModel(DINOv3ViTConfig(**VISION, num_register_tokens=4)),
    }


@pytest.fixture(scope="session")
def towers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder for every kind of vision checkpoint: 32 px, patches of 8, width 32, 3 layers."""
    root = tmp_path_factory.mktemp("towers")
    torch.manual_seed(0)
    for name, model in _models().items():
        for parameter in model.parameters():  # far from zero, so that a mix-up shows
            torch.nn.init.normal_(parameter, std=0.2)
        model.save_pretrained(root / name)
    return {folder.name: folder for folder in root.iterdir()}


@pytest.fixture(scope="session")
def language_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama with tied words and head, and its tokenizer."""
    folder = tmp_path_factory.mktemp("language")
    language = tiny_language("llama")
    language.model.save_pretrained(folder)
    language.tokenizer.save_pretrained(folder)
    return folder
