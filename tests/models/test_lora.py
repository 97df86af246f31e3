"""LoRA: in the language model alone, nothing at first, saved by itself, merged exactly."""

from pathlib import Path

import pytest
import torch
from torch import nn

from diglot.core.errors import ConfigError
from diglot.models.checkpoint import load_vlm, load_weights, save_vlm
from diglot.models.config import LoraConfig
from diglot.models.language import LanguageConfig
from diglot.models.lora import add_lora, lora_parameters, merge_lora
from diglot.models.trainable import Trainable, set_trainable
from diglot.models.vlm import VLM, VLMConfig, build_vlm
from tests.tiny import tiny_language, tiny_vlm

IDS = torch.arange(3, 12)[None]
SMALL = LoraConfig(rank=2, alpha=4.0, dropout=0.0)


def move_adapters(vlm: VLM) -> None:
    with torch.no_grad():
        for name, parameter in vlm.language.model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.3)


def logits(vlm: VLM) -> torch.Tensor:
    with torch.no_grad():
        return vlm.language.model(input_ids=IDS, use_cache=False).logits


def test_adapters_learn_in_the_language_model_alone() -> None:
    vlm = tiny_vlm("qwen2")
    before = logits(vlm)
    counts = {c.part: c for c in set_trainable(vlm, Trainable(projector=False, lora=SMALL))}
    assert logits(vlm).equal(before)  # B starts at 0
    learn = [name for name, p in vlm.named_parameters() if p.requires_grad]
    assert learn
    assert all(name.startswith("language.") and "lora_" in name for name in learn)
    assert len(learn) == 2 * 7 * 2  # layers, matrices of each, A and B
    assert counts["language"].learn == sum(p.numel() for p in vlm.parameters() if p.requires_grad)
    assert counts["projector"].learn == 0


def test_merging_changes_no_logit_and_leaves_plain_layers() -> None:
    vlm = tiny_vlm("llama")
    before = logits(vlm)
    names = [name for name, _ in vlm.language.named_parameters()]
    set_trainable(vlm, Trainable(lora=SMALL))
    move_adapters(vlm)
    adapted = logits(vlm)
    assert merge_lora(vlm.language) == 14
    assert not adapted.allclose(before, atol=1e-2)
    torch.testing.assert_close(logits(vlm), adapted, rtol=1e-5, atol=1e-5)
    assert [name for name, _ in vlm.language.named_parameters()] == names
    assert vlm.language.lora is None


def test_saved_by_themselves_and_read_again(
    towers: dict[str, Path], language_folder: Path, tmp_path: Path
) -> None:
    config = VLMConfig(
        encoder={"name": "clip", "path": str(towers["clip"])},
        language=LanguageConfig(path=str(language_folder)),
    )
    vlm = build_vlm(config).eval()
    set_trainable(vlm, Trainable(lora=SMALL))
    move_adapters(vlm)
    save_vlm(vlm, config, tmp_path / "run", parts=("projector",))
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {"vlm.json", "projector.safetensors", "lora.json", "lora.safetensors"}
    again = load_vlm(tmp_path / "run")
    assert again.language.lora == SMALL
    assert logits(again).equal(logits(vlm.eval()))
    set_trainable(again, Trainable(lora=SMALL))  # trains the same adapters further
    assert logits(again).equal(logits(vlm))
    set_trainable(again, Trainable(language=True))  # learns in full: merged first
    torch.testing.assert_close(logits(again), logits(vlm), rtol=1e-5, atol=1e-5)
    assert not any("lora_" in name for name, _ in again.named_parameters())
    (tmp_path / "run/lora.safetensors").write_bytes(b"broken")
    with pytest.raises(ConfigError, match="unreadable LoRA"):
        load_vlm(tmp_path / "run")


def test_mistakes_name_the_field() -> None:
    with pytest.raises(ConfigError, match=r"lora\.rank"):
        LoraConfig(rank=0)
    with pytest.raises(ConfigError, match=r"lora\.targets"):
        LoraConfig(targets="(")
    with pytest.raises(ConfigError, match=r"no layer .* Names look like 'model"):
        add_lora(tiny_language(), LoraConfig(targets="nothing"))
    with pytest.raises(ConfigError, match="in full or by LoRA"):
        Trainable(language=True, lora=SMALL)


def test_gradient_reaches_every_adapter() -> None:
    vlm = tiny_vlm("llama")
    set_trainable(vlm, Trainable(projector=False, lora=SMALL))
    move_adapters(vlm)
    vlm.language.model(input_ids=IDS, use_cache=False).logits.logsumexp(-1).sum().backward()
    adapters = [p for n, p in vlm.named_parameters() if "lora_" in n]
    assert all(isinstance(p, nn.Parameter) and p.grad.norm() > 0 for p in adapters)


def test_adapters_of_a_half_precision_model_learn_in_float32() -> None:
    language = tiny_language()
    language.model.bfloat16()
    add_lora(language, LoraConfig(rank=2))
    assert {p.dtype for p in lora_parameters(language)} == {torch.float32}
    ids = torch.arange(6)[None]
    assert language.model(ids).logits.dtype == torch.bfloat16
    merge_lora(language)
    assert {p.dtype for p in language.model.parameters()} == {torch.bfloat16}


def test_adapters_after_merged_ones_are_the_first_again(recwarn: pytest.WarningsRecorder) -> None:
    vlm = tiny_vlm("llama")
    for rank in (2, 3):
        set_trainable(vlm, Trainable(lora=LoraConfig(rank=rank, dropout=0.0)))
        move_adapters(vlm)
    assert vlm.language.lora
    assert len(lora_parameters(vlm.language)) == 2 * 14
    assert not [warning for warning in recwarn if "peft_config" in str(warning.message)]


def test_adapters_know_the_weights_that_they_were_learned_on(tmp_path: Path) -> None:
    config = VLMConfig(language=LanguageConfig(path=str(tmp_path / "language")))
    vlm = tiny_vlm("llama")
    set_trainable(vlm, Trainable(lora=SMALL))
    save_vlm(vlm, config, tmp_path / "run", parts=("projector",))
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        same = tiny_vlm("llama")
        same.language.to(dtype)
        load_weights(same, tmp_path / "run")
        assert same.language.lora == SMALL
    for changed in ("embed_tokens", "layers.1.mlp.down_proj", "model.norm"):
        other = tiny_vlm("llama")
        with torch.no_grad():
            for name, parameter in other.language.named_parameters():
                parameter.mul_(1.05 if changed in name else 1.0)
        with pytest.raises(ConfigError, match=f"learned on another language model.*{changed}"):
            load_weights(other, tmp_path / "run")
