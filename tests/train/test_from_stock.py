"""Runs that start from a stock vision-language checkpoint: the whole model is taken."""

import copy
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import (
    AutoModelForImageTextToText,
    CLIPImageProcessorPil,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
)

from diglot.models.export.flow import export_checkpoint
from diglot.models.lora import LoraConfig
from diglot.models.trainable import Trainable
from diglot.train.loop import train
from tests.tiny import tiny_language
from tests.tiny_folders import tiny_stage
from tests.train.outcome import figures, losses

VISION = {
    "model_type": "clip_vision_model",
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "patch_size": 8,
    "image_size": 32,
}


@pytest.fixture
def stock(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    language = tiny_language("llama")
    language.tokenizer = copy.deepcopy(language.tokenizer)  # the tests share one
    language.tokenizer.add_tokens(["<image>"], special_tokens=True)
    text = language.model.config
    text.vocab_size = len(language.tokenizer)
    config = LlavaConfig(
        vision_config=VISION, text_config=text, image_token_index=len(language.tokenizer) - 1
    )
    LlavaForConditionalGeneration(config).save_pretrained(tmp_path / "stock")
    size = {"height": 32, "width": 32}
    images = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=size)
    LlavaProcessor(
        images,
        language.tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    ).save_pretrained(tmp_path / "stock")
    return tmp_path / "stock"


def test_lora_and_projector_learn_and_go_out_merged(world, stock: Path, tmp_path: Path) -> None:
    learns = Trainable(lora=LoraConfig(rank=2, dropout=0.0))
    stage = tiny_stage(world, tmp_path / "run", start_from=str(stock), trainable=learns)
    checkpoint = train(stage)
    assert losses(tmp_path / "run")[-1] < losses(tmp_path / "run")[0]
    names = {path.name for path in checkpoint.iterdir()}
    assert names == {"vlm.json", "projector.safetensors", "lora.json", "lora.safetensors"}
    export_checkpoint(checkpoint, "llava", tmp_path / "out")
    before, after = (load_file(f / "model.safetensors") for f in (stock, tmp_path / "out"))
    assert list(before) == list(after)
    moved = {name for name in before if not before[name].equal(after[name])}
    assert any("multi_modal_projector" in name for name in moved)
    assert any("q_proj" in name for name in moved)
    assert not any("vision_tower" in name or "embed_tokens" in name for name in moved)
    AutoModelForImageTextToText.from_pretrained(tmp_path / "out")


def test_a_second_round_goes_on_with_the_adapters(world, stock: Path, tmp_path: Path) -> None:
    learns = Trainable(lora=LoraConfig(rank=2, dropout=0.0))
    first = tiny_stage(world, tmp_path / "a", start_from=str(stock), trainable=learns)
    checkpoint = train(first)
    second = tiny_stage(world, tmp_path / "b", start_from=str(checkpoint), trainable=learns)
    assert figures(tmp_path / "a")
    assert train(second).exists()
    assert losses(tmp_path / "b")[0] < losses(tmp_path / "a")[0]
