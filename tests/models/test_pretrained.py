"""Checkpoints of others, damaged in one file: a message that names the file or the weight."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from diglot.core.errors import ConfigError
from diglot.models.config import LanguageConfig
from diglot.models.encoders.clip import Config as ClipConfig
from diglot.models.encoders.clip import build as build_clip
from diglot.models.language import load_language
from tests.tiny_folders import save_clip, save_language

Damage = Callable[[Path], None]


def written(name: str, content: bytes) -> Damage:
    """The file with this in it."""
    return lambda folder: (folder / name).write_bytes(content) and None


def cut_to(name: str, size: int) -> Damage:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:size]) and None


def changed_settings(**fields: object) -> Damage:
    def change(folder: Path) -> None:
        settings = json.loads((folder / "config.json").read_text("utf-8"))
        (folder / "config.json").write_text(json.dumps({**settings, **fields}), "utf-8")

    return change


def changed_weights(change: Callable[[torch.Tensor], torch.Tensor]) -> Damage:
    def damage(folder: Path) -> None:
        file = folder / "model.safetensors"
        state = {name: change(value).contiguous() for name, value in load_file(file).items()}
        save_file(state, file, metadata={"format": "pt"})

    return damage


OF_BOTH: dict[str, tuple[Damage, str]] = {
    "settings a list": (written("config.json", b"[]"), r"config\.json holds no settings.*got \[\]"),
    "settings a number": (written("config.json", b"3"), r"config\.json holds no settings.*got 3"),
    "settings no text": (written("config.json", b"\xff\xfe{"), r"config\.json is no JSON"),
    "settings too deep": (written("config.json", b"[" * 99_999), r"config\.json is no JSON"),
    "a word for a size": (
        changed_settings(hidden_size="big"),
        "hidden_size.*expected int, got str",
    ),
    "another size": (
        changed_settings(hidden_size=64),
        r"not of its config\.json's size; expected .*64.*; got \(.*config\.json belongs",
    ),
    "an unknown class": (changed_settings(model_type="nonesuch"), "nonesuch"),
    "header cut": (cut_to("model.safetensors", 20), r"model\.safetensors is damaged"),
    "weights cut": (cut_to("model.safetensors", 5000), r"model\.safetensors is damaged"),
    "weights empty": (cut_to("model.safetensors", 0), r"model\.safetensors is damaged"),
    "no header": (written("model.safetensors", b"\xff" * 99), r"model\.safetensors is damaged"),
    "whole numbers": (
        changed_weights(lambda value: value.to(torch.int8)),
        r"model\.safetensors: the weights are whole numbers \(I8\).*before it was quantised",
    ),
    "no numbers": (changed_weights(lambda value: value / 0), "weights of .* are not finite: "),
}
OF_LANGUAGE: dict[str, tuple[Damage, str]] = {
    "tokenizer a list": (written("tokenizer.json", b"[]"), r"tokenizer\.json holds no settings"),
    "tokenizer cut": (cut_to("tokenizer.json", 100), r"tokenizer\.json is no JSON"),
    "its settings a list": (
        written("tokenizer_config.json", b"[]"),
        r"tokenizer_config\.json holds no settings",
    ),
    "generation a list": (
        written("generation_config.json", b"[]"),
        r"generation_config\.json holds no settings",
    ),
}


@pytest.mark.parametrize("how", OF_BOTH)
def test_a_damaged_encoder_is_named(tmp_path: Path, how: str) -> None:
    damage, message = OF_BOTH[how]
    damage(folder := save_clip(tmp_path / "clip"))
    with pytest.raises(ConfigError, match=rf"^encoder\.path: .*{message}"):
        build_clip(ClipConfig(path=str(folder)))


@pytest.mark.parametrize("how", {**OF_BOTH, **OF_LANGUAGE})
def test_a_damaged_language_model_is_named(tmp_path: Path, how: str) -> None:
    damage, message = {**OF_BOTH, **OF_LANGUAGE}[how]
    damage(folder := save_language(tmp_path / "language"))
    with pytest.raises(ConfigError, match=rf"^language\.path: .*{message}") as raised:
        load_language(LanguageConfig(path=str(folder)))
    assert str(folder) in str(raised.value)


def test_another_model_s_tokenizer_is_refused(tmp_path: Path) -> None:
    folder = save_language(tmp_path / "language")
    size = json.loads((folder / "config.json").read_text("utf-8"))["vocab_size"]
    changed_weights(lambda value: value[:50] if len(value) == size else value)(folder)
    changed_settings(vocab_size=50)(folder)
    message = re.escape("the tokenizer is another model's: it knows more tokens than the model has")
    with pytest.raises(ConfigError, match=rf"^language\.path: {message}.*at most 50; got {size}"):
        load_language(LanguageConfig(path=str(folder)))
