"""A tiny stock Llava on disk."""

import copy
from pathlib import Path

import torch
from transformers import (
    CLIPImageProcessorPil,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
)

from tests.tiny import tiny_language

VISION = {
    "model_type": "clip_vision_model",
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "patch_size": 8,
    "image_size": 32,
}


def save_stock_llava(folder: Path) -> Path:
    """A random Llava of a CLIP tower and a Llama, with its processor."""
    torch.manual_seed(0)
    language = tiny_language("llama")
    language.tokenizer = copy.deepcopy(language.tokenizer)  # the tests share one
    language.tokenizer.add_tokens(["<image>"], special_tokens=True)
    text = language.model.config
    text.vocab_size = len(language.tokenizer)
    config = LlavaConfig(
        vision_config=VISION, text_config=text, image_token_index=len(language.tokenizer) - 1
    )
    LlavaForConditionalGeneration(config).save_pretrained(folder)
    size = {"height": 32, "width": 32}
    images = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=size)
    LlavaProcessor(
        images,
        language.tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    ).save_pretrained(folder)
    return folder
