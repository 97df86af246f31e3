"""Tiny pairs of towers on disk, and a labeller whose vectors are known."""

import copy
from pathlib import Path

import torch
from tests.tiny import BOS, EOS, tiny_tokenizer
from tokenizers.processors import TemplateProcessing
from transformers import (
    CLIPConfig,
    CLIPModel,
    SiglipConfig,
    SiglipModel,
)

VISION = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "patch_size": 8,
    "image_size": 32,
}
TEXT = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 24,
}


def save_pair(folder: Path, family: str) -> Path:
    """A tiny random CLIP or SigLIP with a tokenizer."""
    tokenizer = copy.deepcopy(tiny_tokenizer())
    marks = [(BOS, tokenizer.bos_token_id), (EOS, tokenizer.eos_token_id)]
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{BOS} $A {EOS}", special_tokens=marks
    )
    text = TEXT | {
        "vocab_size": len(tokenizer),
        "eos_token_id": tokenizer.eos_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if family == "clip":
            config = CLIPConfig(vision_config=VISION, text_config=text, projection_dim=12)
            model = CLIPModel(config)
        else:
            model = SiglipModel(
                SiglipConfig(vision_config=VISION, text_config=text | {"projection_size": 16})
            )
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
