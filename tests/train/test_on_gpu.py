"""On a GPU every objective trains as on a CPU: same losses and weights, whatever the attention."""

import subprocess
import sys

import pytest
import torch
from accelerate.state import AcceleratorState, GradientState, PartialState

from diglot.data.config import FeaturesConfig
from diglot.models.trainable import Trainable
from diglot.train.config import OptimConfig
from diglot.train.loop import train
from tests.objectives.test_token_contrastive_training import contrast
from tests.tiny_folders import tiny_stage
from tests.train.outcome import losses, weights
from tests.train.test_processes import OBJECTIVES

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA"),
]


@pytest.fixture
def choose_device(monkeypatch):
    """A call that says where the next run in this process computes."""

    def choose(device: str) -> None:
        for state in (AcceleratorState, PartialState, GradientState):
            state._reset_state()
        monkeypatch.setenv("ACCELERATE_USE_CPU", str(device == "cpu").lower())

    yield choose
    choose("cuda")


def train_on_both(world, tmp_path, choose_device, **settings) -> None:
    for device in ("cpu", "cuda"):
        choose_device(device)
        stage = tiny_stage(world, tmp_path / device, **settings)
        train(stage)


def assert_same(tmp_path, part: str = "projector") -> None:
    on_gpu, on_cpu = losses(tmp_path / "cuda"), losses(tmp_path / "cpu")
    assert on_gpu == pytest.approx(on_cpu, rel=1e-4)
    expected = weights(tmp_path / "cpu", part)
    for name, weight in weights(tmp_path / "cuda", part).items():
        assert torch.allclose(weight, expected[name], rtol=1e-3, atol=1e-4), name


@pytest.mark.parametrize("objectives", [*OBJECTIVES.values(), None], ids=[*OBJECTIVES, "sea"])
def test_a_gpu_trains_as_a_cpu(world, tmp_path, choose_device, objectives):
    settings = objectives or contrast(world / "data")
    train_on_both(world, tmp_path, choose_device, **{"max_samples": 11, **settings})
    assert_same(tmp_path)


def test_with_everything_learning_and_layers_computed_again(world, tmp_path, choose_device):
    settings = {"trainable": Trainable(language=True, encoder=True), "gradient_checkpointing": True}
    train_on_both(world, tmp_path, choose_device, max_samples=11, **settings)
    for part in ("projector", "language"):
        assert_same(tmp_path, part)


def test_from_kept_features(world, tmp_path, choose_device):
    cache = FeaturesConfig(folder=str(tmp_path / "features"), dtype="float32")
    train_on_both(world, tmp_path, choose_device, max_samples=11, features=cache)
    assert_same(tmp_path)


@pytest.mark.parametrize("attention", ["sdpa", "separate"])
def test_every_attention_gives_the_losses_of_split(world, tmp_path, choose_device, attention):
    choose_device("cuda")
    plain = tiny_stage(world, tmp_path / "cpu", max_samples=11)
    train(plain)
    other = tiny_stage(world, tmp_path / "cuda", max_samples=11)
    object.__setattr__(other.model, "attention", attention)
    train(other)
    assert_same(tmp_path)


@pytest.mark.parametrize(("precision", "steps"), [("bf16", 3), ("fp16", 1)])
def test_half_precision_stays_near(world, tmp_path, choose_device, precision, steps):
    """In float16 the gradient's scale has to be found first: steps that overflow are left out."""
    choose_device("cuda")
    train(tiny_stage(world, tmp_path / "whole", max_samples=11))
    train(tiny_stage(world, tmp_path / "half", max_samples=11, precision=precision))
    half, whole = losses(tmp_path / "half"), losses(tmp_path / "whole")
    assert half[:steps] == pytest.approx(whole[:steps], rel=0.02)
    assert all(loss > 0 for loss in half)


def test_a_run_goes_on_where_it_stopped(world, tmp_path, choose_device):
    choose_device("cuda")
    settings = {"optim": OptimConfig(lr=3e-3, warmup=0.0, schedule="constant")}
    train(tiny_stage(world, tmp_path / "long", epochs=2, **settings))
    train(tiny_stage(world, tmp_path / "parts", epochs=1, **settings))
    train(tiny_stage(world, tmp_path / "parts", epochs=2, **settings))
    assert losses(tmp_path / "parts") == pytest.approx(losses(tmp_path / "long"), rel=1e-6)


def test_the_command_says_on_what_it_ran(world, tmp_path):
    settings = f"{world / 'data'} --model.language.path {world / 'language'}"
    settings += f" --model.encoder.name clip --model.encoder.path {world / 'clip'}"
    command = f"-m diglot train {settings} --out {tmp_path / 'run'} --max_samples 4"
    subprocess.run([sys.executable, *command.split()], check=True, timeout=300)
    assert torch.cuda.get_device_name() in (tmp_path / "run" / "environment.json").read_text()
