"""Tiny checkpoints and datasets on disk, so that settings alone describe a run."""

from pathlib import Path
from typing import Any

import torch
from transformers import CLIPVisionConfig, CLIPVisionModel

from diglot.core.types import Sample
from diglot.data.records import write_dataset
from diglot.models.language import LanguageConfig
from diglot.models.vlm import VLMConfig
from diglot.train.config import OptimConfig, StageConfig
from tests.tiny import tiny_language, tiny_sample

# Captions with one to six objects: very different numbers of supervised tokens.
SHAPES = ((48, 64), (32, 32), (40, 24), (64, 64))


def save_language(folder: Path) -> Path:
    """A tiny Llama and its tokenizer."""
    language = tiny_language("llama")
    language.model.save_pretrained(folder)
    language.tokenizer.save_pretrained(folder)
    return folder


def save_clip(folder: Path) -> Path:
    """A tiny CLIP vision tower: 32 px, patches of 8, width 16."""
    config = CLIPVisionConfig(
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        patch_size=8,
        image_size=32,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = CLIPVisionModel(config)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
    model.save_pretrained(folder)
    return folder


def tiny_samples(count: int, *, seed: int = 0) -> list[Sample]:
    """Samples of one to six objects and several image shapes."""
    return [
        tiny_sample(seed + i, objects=1 + i % 6, size_hw=SHAPES[i % len(SHAPES)])
        for i in range(count)
    ]


def save_world(root: Path, *, samples: int = 20) -> Path:
    """`language`, `clip` and `data` (splits train and test) under one folder."""
    save_language(root / "language")
    save_clip(root / "clip")
    write_dataset(tiny_samples(samples), root / "data", shard_samples=16)
    write_dataset(tiny_samples(4, seed=1000), root / "data", split="test")
    return root


def tiny_stage(world: Path, out: Path, **changes: Any) -> StageConfig:
    """A short run of code-switching on the folders of `save_world`."""
    settings: dict[str, Any] = {
        "data": str(world / "data"),
        "out": str(out),
        "objective": {"name": "code_switch"},
        "model": VLMConfig(
            encoder={"name": "clip", "path": str(world / "clip")},
            projector={"name": "mlp", "hidden": 24},
            language=LanguageConfig(path=str(world / "language")),
        ),
        "optim": OptimConfig(lr=3e-3, warmup=0.1),
        "global_batch": 4,
        "micro_batch": 4,
        "row_tokens": 128,
        "checkpoint_every": 2,
    }
    return StageConfig(**(settings | changes))
