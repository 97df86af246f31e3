"""Tiny random stock checkpoints whose language models read visual tokens by rules of their own."""

import copy
import json
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoTokenizer,
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    Gemma3ImageProcessorPil,
    Gemma3Processor,
    PaliGemmaConfig,
    PaliGemmaForConditionalGeneration,
    PaliGemmaProcessor,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLImageProcessorPil,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLMoeConfig,
    Qwen3VLMoeForConditionalGeneration,
    SiglipImageProcessorPil,
)

from tests.models.conftest import VISION
from tests.tiny import tiny_tokenizer

TEXT = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 512,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 1,
}
SIZE = {"height": 32, "width": 32}


def grown_tokenizer(folder: Path, *tokens: str, **named: str) -> Any:
    """The tests' tokenizer with more special tokens, some by a name; "\n\n" is none, as Gemma's."""
    tokenizer = copy.deepcopy(tiny_tokenizer())
    tokenizer.add_tokens([token for token in tokens if token == "\n\n"])
    special = [token for token in (*tokens, *named.values()) if token != "\n\n"]
    tokenizer.add_tokens(special, special_tokens=True)
    tokenizer.save_pretrained(folder)
    file = folder / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text("utf-8")) | named), "utf-8")
    return AutoTokenizer.from_pretrained(folder)


def save_wide(model: Any, folder: Path) -> None:
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(7)
        for parameter in model.parameters():  # far from zero, so that a mix-up shows
            torch.nn.init.normal_(parameter, std=0.2)
    model.save_pretrained(folder)


def save_paligemma(folder: Path, *, text: str = "gemma", **settings: Any) -> Path:
    images: Any = SiglipImageProcessorPil(size=SIZE)
    images.image_seq_length = 16
    tokenizer = grown_tokenizer(folder, "<image>")
    processor = PaliGemmaProcessor(images, tokenizer)
    processor.save_pretrained(folder)
    config = PaliGemmaConfig(
        vision_config={"model_type": "siglip_vision_model", **VISION, "vision_use_head": False},
        text_config={"model_type": text, **TEXT, **settings, "vocab_size": len(tokenizer)},
        image_token_index=processor.image_token_id,
        projection_dim=32,
        hidden_size=32,
    )
    save_wide(PaliGemmaForConditionalGeneration(config), folder)
    return folder


def save_gemma3(folder: Path) -> Path:
    named = {"boi_token": "<boi>", "eoi_token": "<eoi>", "image_token": "<soft>"}
    tokenizer = grown_tokenizer(folder, "\n\n", **named)
    images = Gemma3ImageProcessorPil(size=SIZE, image_seq_length=4)
    Gemma3Processor(images, tokenizer, image_seq_length=4).save_pretrained(folder)
    config = Gemma3Config(
        vision_config={"model_type": "siglip_vision_model", **VISION, "vision_use_head": False},
        text_config={
            **TEXT,
            "vocab_size": len(tokenizer),
            "sliding_window": 3,
            "query_pre_attn_scalar": 8,
            "layer_types": ["sliding_attention", "full_attention"],
        },
        mm_tokens_per_image=4,
        image_token_index=tokenizer.convert_tokens_to_ids("<soft>"),
    )
    save_wide(Gemma3ForConditionalGeneration(config), folder)
    return folder


def save_qwen(folder: Path) -> Path:
    tokenizer = grown_tokenizer(folder, "<|vision_start|>", "<|vision_end|>", "<|image_pad|>")
    tokenizer.save_pretrained(folder)
    pixels = {"shortest_edge": 16 * 16, "longest_edge": 64 * 64}
    Qwen2VLImageProcessorPil(size=pixels, patch_size=8).save_pretrained(folder)
    vision = {"depth": 2, "hidden_size": 32, "intermediate_size": 48, "num_heads": 4}
    vision |= {
        "patch_size": 8,
        "window_size": 32,
        "out_hidden_size": 32,
        "fullatt_block_indexes": [1],
    }
    rope = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [1, 2, 1]}
    config = Qwen2_5_VLConfig(
        vision_config=vision,
        text_config={**TEXT, "vocab_size": len(tokenizer), "rope_parameters": rope},
        image_token_id=tokenizer.convert_tokens_to_ids("<|image_pad|>"),
        vision_start_token_id=tokenizer.convert_tokens_to_ids("<|vision_start|>"),
        tie_word_embeddings=False,
    )
    save_wide(Qwen2_5_VLForConditionalGeneration(config), folder)
    return folder


def save_qwen3(folder: Path, *, experts: bool = False) -> Path:
    """Two of its vision layers are handed on to the language model (DeepStack)."""
    tokenizer = grown_tokenizer(folder, "<|vision_start|>", "<|vision_end|>", "<|image_pad|>")
    tokenizer.save_pretrained(folder)
    pixels = {"shortest_edge": 16 * 16, "longest_edge": 64 * 64}
    Qwen2VLImageProcessorPil(size=pixels, patch_size=8).save_pretrained(folder)
    vision = {"depth": 3, "hidden_size": 32, "intermediate_size": 48, "num_heads": 4}
    vision |= {"patch_size": 8, "out_hidden_size": 32, "num_position_embeddings": 16}
    rope = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 1, 1]}
    rope |= {"mrope_interleaved": True}
    sizes = {"num_hidden_layers": 3, "vocab_size": len(tokenizer), "rope_parameters": rope}
    if experts:
        sizes |= {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24}
    kind = Qwen3VLMoeConfig if experts else Qwen3VLConfig
    config = kind(
        vision_config=vision | {"deepstack_visual_indexes": [0, 1]},
        text_config=TEXT | sizes,
        image_token_id=tokenizer.convert_tokens_to_ids("<|image_pad|>"),
        vision_start_token_id=tokenizer.convert_tokens_to_ids("<|vision_start|>"),
        tie_word_embeddings=False,
    )
    made = Qwen3VLMoeForConditionalGeneration if experts else Qwen3VLForConditionalGeneration
    save_wide(made(config), folder)
    return folder


def save_paligemma_2(folder: Path) -> Path:
    """PaliGemma 2: its Gemma 2 slides, and caps scores and logits."""
    caps = {"attn_logit_softcapping": 0.5, "final_logit_softcapping": 20.0}
    return save_paligemma(folder, text="gemma2", sliding_window=64, query_pre_attn_scalar=8, **caps)


SAVE = {
    "paligemma": save_paligemma,
    "paligemma_2": save_paligemma_2,
    "gemma3": save_gemma3,
    "qwen2_5_vl": save_qwen,
    "qwen3_vl": save_qwen3,
    "qwen3_vl_moe": partial(save_qwen3, experts=True),
}
