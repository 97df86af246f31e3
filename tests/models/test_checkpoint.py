"""A VLM written and read again, and files that are none."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from diglot.core.errors import ConfigError
from diglot.core.preprocess import Preprocess
from diglot.models import checkpoint
from diglot.models.checkpoint import load_config, load_vlm, save_vlm
from diglot.models.language import LanguageConfig
from diglot.models.vlm import VLM, VLMConfig, build_vlm

ALL = ("projector", "language", "encoder")


@pytest.fixture
def config(towers: dict[str, Path], language_folder: Path) -> VLMConfig:
    return VLMConfig(
        encoder={"name": "siglip", "path": str(towers["siglip_vision"]), "layer": -1},
        projector={"name": "mlp", "unshuffle": 2, "activation": "quick_gelu"},
        language=LanguageConfig(path=str(language_folder)),
        preprocess=Preprocess(mode="tiles", image_px=32, max_tiles=3),
    )


@pytest.fixture
def vlm(config: VLMConfig) -> VLM:
    """Every weight moved, as training would."""
    vlm = build_vlm(config, seed=3)
    with torch.no_grad():
        for parameter in vlm.parameters():
            parameter.add_(torch.randn_like(parameter))
    return vlm


def saved(vlm: VLM, config: VLMConfig, tmp_path: Path, parts: tuple[str, ...] = ALL) -> Path:
    save_vlm(vlm, config, tmp_path / "run", parts=parts)
    return tmp_path / "run"


def test_round_trip_to_the_last_bit(vlm: VLM, config: VLMConfig, tmp_path: Path) -> None:
    again = load_vlm(saved(vlm, config, tmp_path))
    theirs = again.state_dict()
    assert list(theirs) == list(vlm.state_dict())
    for name, value in vlm.state_dict().items():
        assert value.equal(theirs[name]), name
    assert not again.training
    assert again.preprocess == vlm.preprocess
    assert load_config(tmp_path / "run") == config


def test_tied_words_are_stored_once_and_stay_tied(
    vlm: VLM, config: VLMConfig, tmp_path: Path
) -> None:
    assert vlm.language.head.weight is vlm.language.input_embeddings.weight
    folder = saved(vlm, config, tmp_path, ("projector", "language"))
    table = [v for v in load_file(folder / "language.safetensors").values() if len(v) == 320]
    assert len(table) == 1
    again = load_vlm(folder)
    assert again.language.head.weight is again.language.input_embeddings.weight
    assert again.language.input_embeddings.weight.equal(vlm.language.input_embeddings.weight)


def test_frozen_parts_are_not_copied(vlm: VLM, config: VLMConfig, tmp_path: Path) -> None:
    folder = saved(vlm, config, tmp_path, ("projector",))
    assert sorted(f.name for f in folder.iterdir()) == ["projector.safetensors", "vlm.json"]
    again, fresh = load_vlm(folder), build_vlm(config)
    assert again.projector.fc1.weight.equal(vlm.projector.fc1.weight)
    assert again.language.input_embeddings.weight.equal(fresh.language.input_embeddings.weight)


def test_saving_again_replaces_the_whole_folder(
    vlm: VLM, config: VLMConfig, tmp_path: Path
) -> None:
    saved(vlm, config, tmp_path)
    folder = saved(vlm, config, tmp_path, ("projector",))
    assert sorted(f.name for f in folder.iterdir()) == ["projector.safetensors", "vlm.json"]
    assert [f.name for f in tmp_path.iterdir()] == ["run"]


def test_a_write_that_fails_leaves_the_old_one(
    vlm: VLM, config: VLMConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = saved(vlm, config, tmp_path)
    before = {f.name: f.read_bytes() for f in folder.iterdir()}

    def full(*_, **kwargs) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(OSError, match="No space"):
        save_vlm(vlm, config, folder, parts=ALL)
    assert {f.name: f.read_bytes() for f in folder.iterdir()} == before
    assert [f.name for f in tmp_path.iterdir()] == ["run"]


def damage(folder: Path, how: str) -> None:
    config_path, weights = folder / "vlm.json", folder / "projector.safetensors"
    state = load_file(weights)
    match how:
        case "no config":
            config_path.unlink()
        case "cut config":
            config_path.write_text(config_path.read_text()[:-20])
        case "no text":
            config_path.write_bytes(b"\x80\x81\xff")
        case "a list":
            config_path.write_text("[1, 2]")
        case "unknown field":
            config_path.write_text(json.dumps({**json.loads(config_path.read_text()), "encodr": 1}))
        case "impossible value":
            config = json.loads(config_path.read_text())
            config["preprocess"]["image_px"] = 0
            config_path.write_text(json.dumps(config))
        case "no projector":
            weights.unlink()
        case "cut weights":
            weights.write_bytes(weights.read_bytes()[:-9])
        case "garbage weights":
            weights.write_bytes(b"\x00" * 64)
        case "missing weight":
            state.pop("fc1.bias")
            save_file(state, weights)
        case "unknown weight":
            save_file({**state, "fc3.bias": torch.zeros(1)}, weights)
        case "whole numbers":
            save_file({name: value.to(torch.int8) for name, value in state.items()}, weights)
        case "no numbers":
            save_file({**state, "fc1.bias": state["fc1.bias"] / 0}, weights)
        case "other shape":
            save_file({**state, "fc1.bias": torch.zeros(3)}, weights)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("no config", "vlm.json.*diglot train"),
        ("cut config", "vlm.json"),
        ("no text", "vlm.json"),
        ("a list", "vlm.json"),
        ("unknown field", "vlm.json.*encodr"),
        ("impossible value", "vlm.json.*image_px"),
        ("no projector", "no projector.safetensors"),
        ("cut weights", "projector.safetensors.*unreadable"),
        ("garbage weights", "projector.safetensors.*unreadable"),
        ("missing weight", "projector.safetensors.*missing.*fc1.bias"),
        ("unknown weight", "projector.safetensors.*unknown.*fc3.bias"),
        ("other shape", "projector.safetensors.*do not fit.*fc1.bias"),
        ("whole numbers", "projector.safetensors.*whole numbers: fc1"),
        ("no numbers", "projector.safetensors.*not finite: fc1.bias"),
    ],
)
def test_damaged_checkpoint_is_a_config_error(
    vlm: VLM, config: VLMConfig, tmp_path: Path, how: str, message: str
) -> None:
    folder = saved(vlm, config, tmp_path)
    damage(folder, how)
    with pytest.raises(ConfigError, match=f"(?s){message}") as error:
        load_vlm(folder)
    assert str(folder) in str(error.value)


def test_tied_weights_missing_altogether(vlm: VLM, config: VLMConfig, tmp_path: Path) -> None:
    folder = saved(vlm, config, tmp_path)
    state = load_file(folder / "language.safetensors")
    save_file({k: v for k, v in state.items() if len(v) != 320}, folder / "language.safetensors")
    with pytest.raises(ConfigError, match=r"language.safetensors.*missing"):
        load_vlm(folder)
