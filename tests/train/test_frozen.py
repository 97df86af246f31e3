"""What is frozen stays as it is to the last bit, batch statistics included."""

import logging
import sys

import pytest
import torch

from diglot.core.errors import ConfigError
from diglot.models.checkpoint import load_vlm
from diglot.models.trainable import Trainable
from diglot.models.vlm import VLMConfig, build_vlm
from diglot.train.loop import train
from tests.tiny_folders import tiny_stage
from tests.train.outcome import losses

ENCODER = """
from dataclasses import dataclass
import torch
from torch import nn

@dataclass(frozen=True, kw_only=True)
class Config:
    image_px: int = 32

class Encoder(nn.Module):
    width, patch_px, revision, resample = 6, 8, "own", "bilinear"
    mean = std = (0.5, 0.5, 0.5)

    def __init__(self, config):
        super().__init__()
        self.image_px = config.image_px
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            self.conv = nn.Conv2d(3, 6, 8, stride=8)
            self.norm = nn.BatchNorm2d(6)

    def forward(self, pixels):
        return self.norm(self.conv(pixels)).permute(0, 2, 3, 1)

def build(config):
    return Encoder(config)
"""


@pytest.fixture
def own_encoder(tmp_path, monkeypatch) -> str:
    """A user's own encoder with batch normalisation, by its dotted path."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "normed.py").write_text(ENCODER)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "own.normed"
    for name in ("own", "own.normed"):
        sys.modules.pop(name, None)


def snapshot(vlm) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in vlm.state_dict().items()}


def changed(before: dict[str, torch.Tensor], vlm) -> set[str]:
    """The parts in which any weight or buffer differs by a bit."""
    now = vlm.state_dict()
    assert now.keys() == before.keys()
    return {name.split(".")[0] for name in now if not torch.equal(now[name], before[name])}


@pytest.mark.parametrize(
    ("learns", "parts"),
    [
        (Trainable(), {"projector"}),
        (Trainable(language=True), {"projector", "language"}),
        (Trainable(encoder=True, projector=False), {"encoder"}),
        (Trainable(language=True, encoder=True), {"projector", "language", "encoder"}),
    ],
)
def test_only_what_trains_changes(world, tmp_path, own_encoder, learns, parts):
    stage = tiny_stage(world, tmp_path / "run", max_samples=8, trainable=learns)
    model = VLMConfig(encoder=own_encoder, language=stage.model.language)
    stage = tiny_stage(world, tmp_path / "run", max_samples=8, trainable=learns, model=model)
    vlm = build_vlm(model)
    before = snapshot(vlm)
    assert any("running_mean" in name for name in before)
    folder = train(stage, vlm=vlm)
    assert changed(before, vlm) == parts
    assert {p.stem for p in folder.glob("*.safetensors")} == parts | {"projector"}
    assert changed(snapshot(vlm), load_vlm(folder)) == set()


def test_what_trains_is_logged_with_counts(world, tmp_path, caplog):
    with caplog.at_level(logging.INFO, logger="diglot"):
        train(tiny_stage(world, tmp_path / "run", max_samples=4))
    vlm = load_vlm(tmp_path / "run" / "model")
    for part, learns in (("encoder", False), ("projector", True), ("language", False)):
        total = sum(p.numel() for p in getattr(vlm, part).parameters())
        assert f"{part}: {total if learns else 0} of {total} parameters learn" in caplog.text


def test_nothing_to_train_is_refused(world, tmp_path):
    nothing = Trainable(projector=False)
    with pytest.raises(ConfigError, match="no parameter would learn"):
        train(tiny_stage(world, tmp_path / "run", trainable=nothing))


def test_a_second_stage_starts_from_the_first(world, tmp_path):
    first = train(tiny_stage(world, tmp_path / "first", epochs=2))
    changes = {"start_from": str(first), "trainable": Trainable(language=True)}
    second = train(tiny_stage(world, tmp_path / "second", **changes))
    third = train(tiny_stage(world, tmp_path / "third", start_from=str(second)))
    fresh = losses(tmp_path / "first")[0]
    assert losses(tmp_path / "second")[0] < fresh
    assert losses(tmp_path / "third")[0] < losses(tmp_path / "second")[0]
    # the language model that the second stage taught is the third's frozen one
    taught, kept = load_vlm(second), load_vlm(third)
    before = {n: v for n, v in snapshot(taught).items() if not n.startswith("projector")}
    for name, value in before.items():
        assert torch.equal(kept.state_dict()[name], value), name
