"""VDEP's two modes in the real loop: their ratio, what they learn, two processes as one."""

from pathlib import Path

import pytest
import torch

from diglot.models.trainable import Trainable
from diglot.train.config import OptimConfig
from diglot.train.loop import train
from tests.tiny_folders import save_world, tiny_stage
from tests.train.outcome import figures, weights
from tests.train.test_processes import train_by_two

TOKENS = 16  # of an image: 32 px in cells of 8
TWO_SAMPLES = {"max_samples": 2, "epochs": 25, "optim": OptimConfig(lr=2e-2)}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_world(tmp_path_factory.mktemp("vdep"))


def stage(world: Path, out: Path, *, share: float = 1.0, weight: float = 0.1, **changes):
    mode = {"share": share, "weight": weight, **changes.pop("options", {})}
    return tiny_stage(world, out, objective="caption", mix={"reconstruction": mode}, **changes)


def test_two_samples_are_learned_by_heart_in_both_modes(world, tmp_path):
    learns = Trainable(language=True)
    train(stage(world, tmp_path / "run", weight=1.0, trainable=learns, **TWO_SAMPLES))
    first, *_, last = figures(tmp_path / "run")
    assert last["loss/text"] < 0.2 * first["loss/text"]
    assert last["loss/image"] < 0.3 * first["loss/image"]


@pytest.mark.parametrize("free", [False, True])
def test_in_image_mode_alone_only_a_free_target_is_learned(world, tmp_path, free):
    """A normed hidden state has one length, and nothing pulls a detached X to it."""
    objective = {"name": "reconstruction", "detach_target": not free}
    train(tiny_stage(world, tmp_path / "run", objective=objective, global_batch=2, **TWO_SAMPLES))
    first, *_, last = figures(tmp_path / "run")
    assert last["hidden_norm"] == pytest.approx(first["hidden_norm"], rel=0.01)
    if free:
        assert last["loss"] < 0.2 * first["loss"]
        assert last["visual_norm"] == pytest.approx(last["hidden_norm"], rel=0.1)
    else:
        assert last["visual_norm"] > 2 * last["hidden_norm"]


@pytest.mark.parametrize(("share", "images"), [(1.0, 4), (0.6, 3)])
def test_every_batch_holds_both_modes_in_their_ratio(world, tmp_path, share, images):
    train(stage(world, tmp_path / "run", share=share, max_samples=10, global_batch=8))
    counts = [line["items/image"] / TOKENS for line in figures(tmp_path / "run")]
    assert counts[:-1] == [images] * (len(counts) - 1)
    assert sum(counts) == round(10 * share)


@pytest.mark.parametrize("options", [{}, {"loss": "sigmoid_l2", "with_text": True}])
def test_two_processes_train_as_one(world, tmp_path, options):
    # 7 documents in text mode, 4 in image mode, one a pass: every pass has one mode alone
    settings = {"max_samples": 7, "micro_batch": 1, "share": 0.6, "options": options}
    train(stage(world, tmp_path / "one", **settings))
    outcomes = train_by_two(stage(world, tmp_path / "two", **settings))
    assert [error for _, error in outcomes.values()] == ["", ""]
    for a, b in zip(figures(tmp_path / "two"), figures(tmp_path / "one"), strict=True):
        assert a == pytest.approx(b, rel=1e-5)
    ours, theirs = weights(tmp_path / "two"), weights(tmp_path / "one")
    for name, weight in theirs.items():
        torch.testing.assert_close(ours[name], weight, rtol=1e-5, atol=1e-5)
