"""The example of a user's own objective trains beside a built-in one, by its dotted path."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from diglot.config.parts import build_part
from diglot.core.batch import ForwardOutput
from diglot.data.collate import collate_batch, encode_sample
from diglot.train.config import OptimConfig
from diglot.train.loop import train
from tests.tiny import tiny_sample, tiny_tokenizer, tiny_vlm
from tests.tiny_folders import save_world, tiny_stage
from tests.train.outcome import losses, steps

ROOT = Path(__file__).parents[2]
OWN = "examples.own_objective"


@pytest.fixture(autouse=True)
def _in_the_folder_above(monkeypatch):
    monkeypatch.chdir(ROOT)


def test_a_run_with_it_logs_its_loss_and_lowers_it(tmp_path):
    world = save_world(tmp_path, samples=4)
    settings = {
        "objective": "caption",
        "plus": {"loudness": {"name": OWN, "ratio": 3.0, "weight": 2.0}},
        "optim": OptimConfig(lr=1e-2),
        "epochs": 25,
    }
    train(tiny_stage(world, tmp_path / "run", **settings))
    loudness = [line["loss/loudness"] for line in steps(tmp_path / "run")]
    assert len(loudness) == 25
    assert loudness[-1] < 0.2 * loudness[0]
    first = steps(tmp_path / "run")[0]
    assert first["items/loudness"] == 4 * 16
    assert losses(tmp_path / "run")[0] == pytest.approx(
        first["loss/text"] + 2 * first["loss/loudness"]
    )


def test_its_loss_is_that_of_its_own_documents():
    objective, vlm = build_part("diglot.objectives", OWN, where="plus.loudness"), tiny_vlm()
    sample = tiny_sample(0)
    grid = vlm.token_grid(sample.size_hw)
    made = objective.prepare(sample, (grid,), tiny_tokenizer(), torch.Generator())
    encoded = encode_sample(
        "x", None, (grid,), (), views_are="pixels", terms=(), targets=made.targets
    )
    batch = collate_batch([encoded, replace(encoded, targets=None)], row_tokens=64)
    words = torch.randn(9, 5)
    rms = words.square().mean().sqrt().item()
    factor = torch.cat([torch.full((16, 1), 1.5), torch.full((16, 1), 7.0)])
    out = ForwardOutput(visual_ND=factor * rms * torch.ones(32, 5), words_VD=words)
    assert objective.loss(out, batch).sums["loudness"].item() == pytest.approx(16 * 0.25, rel=1e-5)


def test_a_silent_token_has_a_gradient_that_is_a_number():
    objective, vlm = build_part("diglot.objectives", OWN, where="plus.loudness"), tiny_vlm()
    sample = tiny_sample(0)
    grid = vlm.token_grid(sample.size_hw)
    encoded = encode_sample("x", None, (grid,), (), views_are="pixels", terms=(), targets=True)
    visual = torch.zeros(len(grid), 5, requires_grad=True)
    out = ForwardOutput(visual_ND=visual, words_VD=torch.randn(9, 5))
    objective.loss(out, collate_batch([encoded], row_tokens=64)).sums["loudness"].backward()
    assert visual.grad is not None
    assert not visual.grad.any()


def test_the_example_is_short():
    assert len((ROOT / "examples" / "own_objective.py").read_text("utf-8").splitlines()) < 60
