"""`diglot export`: writes, checks and lists."""

import json
from pathlib import Path

import pytest
import torch
from transformers import SiglipVisionConfig, SiglipVisionModel

from diglot.cli.main import USER_ERROR
from diglot.core.preprocess import Preprocess
from diglot.files import lock_folder
from diglot.models.checkpoint import save_vlm
from diglot.models.language import LanguageConfig
from diglot.models.vlm import VLMConfig, build_vlm
from tests.cli_runner import refusal_of, run_diglot
from tests.tiny import tiny_language


@pytest.fixture
def tower(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    config = SiglipVisionConfig(
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=3,
        num_attention_heads=4,
        image_size=224,
        patch_size=16,
    )
    SiglipVisionModel(config).save_pretrained(tmp_path / "tower")
    return tmp_path / "tower"


def checkpoint(tower: Path, language: str) -> Path:
    config = VLMConfig(
        encoder={"name": "siglip", "path": str(tower)},
        projector={
            "name": "mlp",
            "hidden": 96,
            "activation": "quick_gelu",
            "unshuffle": 2,
            "input_norm": True,
        },
        language=LanguageConfig(path=language),
        preprocess=Preprocess(image_px=224),
    )
    folder = tower.parent / "run/model"
    save_vlm(build_vlm(config), config, folder, parts=("projector",))
    return folder


@pytest.mark.slow
@pytest.mark.embedded
def test_the_embedded_language_model_goes_out_and_is_checked(tower: Path, capsys) -> None:
    """SmolLM2 with a small tower: stock transformers alone gives the same logits."""
    model, out, result_path = (
        checkpoint(tower, "embedded"),
        tower.parent / "out",
        tower.parent / "c.json",
    )
    command = ["export", str(model), "--to", "aya_vision", "--out", str(out), "--check"]
    assert run_diglot(*command, "--json", result_path) == 0
    found = json.loads(result_path.read_text())
    assert found["passed"]
    assert found["same_tokens"]
    assert found["largest_difference"] < 1e-3
    assert len(found["answers"]) == found["images"] == 5
    assert "Apache-2.0" in (out / "README.md").read_text()
    model.rename(model.with_name("moved"))
    assert run_diglot("export", "--check", out) == USER_ERROR
    assert "no such checkpoint" in capsys.readouterr().err


@pytest.fixture
def tiny_language_folder(tmp_path: Path) -> str:
    language = tiny_language("qwen2")
    language.model.save_pretrained(tmp_path / "language")
    language.tokenizer.save_pretrained(tmp_path / "language")
    return str(tmp_path / "language")


def test_list_says_which_hold_a_checkpoint(tower: Path, tiny_language_folder: str, capsys) -> None:
    model, list_path = checkpoint(tower, tiny_language_folder), tower.parent / "list.json"
    assert run_diglot("export", "--list", model, "--json", list_path) == 0
    out = capsys.readouterr().out
    assert "aya_vision       holds it" in out
    assert "merges no tokens" in out
    assert json.loads(list_path.read_text())["containers"]["aya_vision"] == []


def test_what_cannot_be_exported_is_one_message(
    tower: Path, tiny_language_folder: str, capsys
) -> None:
    model, out = checkpoint(tower, tiny_language_folder), str(tower.parent / "out")
    assert run_diglot("export", model, "--to", "llava", "--out", out) == USER_ERROR
    assert "LlavaForConditionalGeneration cannot hold this model" in capsys.readouterr().err
    assert run_diglot("export", model, "--to", "lava", "--out", out) == USER_ERROR
    assert "no container 'lava'" in capsys.readouterr().err
    assert run_diglot("export", model) == USER_ERROR
    assert "nothing to do" in capsys.readouterr().err
    assert not Path(out).exists()


def test_of_two_exports_into_one_folder_the_second_is_refused_before_it_loads(
    tower: Path, tiny_language_folder: str, capsys, monkeypatch
) -> None:
    model, out = checkpoint(tower, tiny_language_folder), tower.parent / "out"
    monkeypatch.setattr("diglot.models.export.flow.load_checkpoint", lambda *args, **kwargs: 1 / 0)
    with lock_folder(out, wait=False):
        message = refusal_of(capsys, "export", model, "--to", "aya_vision", "--out", out)
    assert "another process is writing here" in message
    assert not out.exists()
