"""Runs that start from a stock vision-language checkpoint: the whole model is taken."""

from pathlib import Path

import pytest
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText

from diglot.models.export.flow import export_checkpoint, load_checkpoint, open_config
from diglot.models.lora import LoraConfig
from diglot.models.trainable import Trainable
from diglot.train.loop import train
from tests.tiny_folders import tiny_stage
from tests.train.outcome import figures, losses
from tests.train.stock_llava import save_stock_llava


@pytest.fixture
def stock(tmp_path: Path) -> Path:
    return save_stock_llava(tmp_path / "stock")


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


def test_a_second_round_starts_from_the_adapters(world, stock: Path, tmp_path: Path) -> None:
    learns = Trainable(lora=LoraConfig(rank=2, dropout=0.0))
    first = tiny_stage(world, tmp_path / "a", start_from=str(stock), trainable=learns)
    checkpoint = train(first)
    second = tiny_stage(world, tmp_path / "b", start_from=str(checkpoint), trainable=learns)
    assert figures(tmp_path / "a")
    assert train(second).exists()
    assert losses(tmp_path / "b")[0] < losses(tmp_path / "a")[0]


def test_adapters_of_a_stage_before_stay_in_the_weights_of_the_next(
    world, stock: Path, tmp_path: Path
) -> None:
    """Other adapters, or none: the language model is then kept whole, as its base has moved."""
    lora = LoraConfig(rank=2, dropout=0.0)
    first = train(
        tiny_stage(world, tmp_path / "a", start_from=str(stock), trainable=Trainable(lora=lora))
    )
    for name, then in (("b", Trainable()), ("c", Trainable(lora=LoraConfig(rank=3)))):
        second = tiny_stage(world, tmp_path / name, start_from=str(first), trainable=then)
        after = load_file(train(second) / "language.safetensors")
        merged = load_checkpoint(first, open_config(first)).language.state_dict()
        kept = {n: v for n, v in after.items() if "lora" not in n}
        assert all(v.allclose(merged[n], atol=1e-6) for n, v in kept.items())
