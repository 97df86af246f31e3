"""DeepSpeed's ZeRO 1 on two CPU processes (gloo): the losses and weights of one process.

Accelerate uses DeepSpeed on GPUs alone; here its own plugin and `prepare` do the same on the CPU.
"""

import os
import shutil
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from accelerate.utils import DeepSpeedPlugin, DistributedType

from diglot.core.errors import ConfigError
from diglot.models.checkpoint import load_vlm
from diglot.train import launch, loop
from diglot.train.engine import _adopt_recipe, _check_settings
from diglot.train.loop import train
from tests.cli_runner import run_diglot
from tests.tiny_folders import tiny_stage
from tests.train.outcome import figures, steps
from tests.train.test_processes import OBJECTIVES, assert_near, train_by_two
from tests.train.test_sharding import (
    ADAPTERS,
    CALM,
    EVERYTHING,
    dying_step,
    read_weights,
    talk_of_few_images,
)

NEEDED = "needs deepspeed (pip install 'diglot[deepspeed]')"


class EngineOnCPU(Accelerator):
    """Uses DeepSpeed as on several GPUs."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.state.distributed_type = DistributedType.DEEPSPEED
        plugin = DeepSpeedPlugin()
        plugin.set_mixed_precision(settings["mixed_precision"])
        plugin.select(_from_accelerator_state=True)
        self.state.deepspeed_plugins = {"default": plugin}
        self.deepspeed_engine_wrapped = None
        self.native_amp = False  # as Accelerate has it under DeepSpeed


def by_engine(
    stage: int = 1, *, offload: str = "none", steps: int | None = None
) -> Callable[[], None]:
    """The start of a process: variables of `accelerate launch`; it may die after `steps`."""

    def prepare() -> None:
        os.environ |= {"ACCELERATE_DEEPSPEED_ZERO_STAGE": str(stage), "DS_ACCELERATOR": "cpu"}
        os.environ["ACCELERATE_DEEPSPEED_OFFLOAD_OPTIMIZER_DEVICE"] = offload
        launch.Accelerator = EngineOnCPU
        if steps is not None:
            loop.train_step = dying_step(steps)

    return prepare


def trains_as_one(
    world: Path, tmp_path: Path, stage: int, parts: tuple[str, ...], settings: Mapping[str, Any]
) -> None:
    train(tiny_stage(world, tmp_path / "one", **settings))
    outcomes = train_by_two(tiny_stage(world, tmp_path / "two", **settings), by_engine(stage))
    assert [error for _, error in outcomes.values()] == ["", ""]
    for part in parts:
        assert_near(tmp_path / "two", tmp_path / "one", part)


@pytest.mark.slow
@pytest.mark.parametrize("stage", [1, 2])
@pytest.mark.parametrize("learns", [None, EVERYTHING, ADAPTERS])
def test_whatever_learns_in_steps_of_several_passes(world, tmp_path, stage, learns):
    pytest.importorskip("deepspeed", reason=NEEDED)
    settings = {"max_samples": 11, "micro_batch": 1, "optim": CALM}
    settings |= {"trainable": learns} if learns else {}
    parts = ("projector", "language", "encoder") if learns is EVERYTHING else ("projector",)
    trains_as_one(world, tmp_path, stage, parts, settings)


@pytest.mark.slow
@pytest.mark.parametrize("objectives", OBJECTIVES.values(), ids=OBJECTIVES)
def test_every_objective(world, tmp_path, objectives):
    pytest.importorskip("deepspeed", reason=NEEDED)
    settings = {"max_samples": 11, "micro_batch": 1, "trainable": EVERYTHING, "optim": CALM}
    trains_as_one(world, tmp_path, 1, ("projector", "language"), settings | objectives)


@pytest.mark.slow
def test_a_process_with_text_alone(world, tmp_path):
    pytest.importorskip("deepspeed", reason=NEEDED)
    config = talk_of_few_images(world, tmp_path, trainable=EVERYTHING)
    train(config("one"))
    outcomes = train_by_two(config("two"), by_engine())
    assert [error for _, error in outcomes.values()] == ["", ""]
    assert_near(tmp_path / "two", tmp_path / "one", "language")


@pytest.mark.slow
@pytest.mark.parametrize("offload", ["none", "cpu"])
def test_a_killed_run_resumes_by_two_and_by_one(world, tmp_path, offload):
    pytest.importorskip("deepspeed", reason=NEEDED)
    settings = {"max_samples": 16, "checkpoint_every": 1, "trainable": EVERYTHING, "optim": CALM}
    train(tiny_stage(world, tmp_path / "one", **settings))
    killed = by_engine(steps=2, offload=offload)
    outcomes = train_by_two(tiny_stage(world, tmp_path / "two", **settings), killed)
    assert {error for _, error in outcomes.values()} == {"KeyError 'killed'"}
    assert len(steps(tmp_path / "two")) == 2
    shutil.copytree(tmp_path / "two", tmp_path / "alone")
    outcomes = train_by_two(
        tiny_stage(world, tmp_path / "two", **settings), by_engine(offload=offload)
    )
    assert outcomes == {0: (2, ""), 1: (0, "")}
    train(tiny_stage(world, tmp_path / "alone", **settings))
    for name in ("two", "alone"):
        for part in ("projector", "language", "encoder"):
            assert_near(tmp_path / name, tmp_path / "one", part)


@pytest.mark.slow
def test_probes_and_half_precision(world, tmp_path):
    pytest.importorskip("deepspeed", reason=NEEDED)
    settings = {"max_samples": 12, "micro_batch": 1, "precision": "bf16", "optim": CALM}
    settings |= {"probe_every": 1, "probe_share": 0.99, "trainable": EVERYTHING}
    for name, prepare in (("plain", lambda: None), ("two", by_engine())):
        stage = tiny_stage(world, tmp_path / name, **settings)
        outcomes = train_by_two(stage, prepare, read_weights)
        assert [error for _, error in outcomes.values()] == ["", ""]
    for mine, theirs in zip(figures(tmp_path / "two"), figures(tmp_path / "plain"), strict=True):
        assert mine == pytest.approx(theirs, rel=1e-2)


@pytest.mark.slow
def test_what_two_wrote_opens_and_goes_out(world, tmp_path):
    pytest.importorskip("deepspeed", reason=NEEDED)
    settings = {"max_samples": 8, "keep_every": 1, "trainable": EVERYTHING}
    outcomes = train_by_two(tiny_stage(world, tmp_path / "two", **settings), by_engine())
    assert outcomes[0][1] == ""
    assert load_vlm(tmp_path / "two" / "kept" / "step-00000001")
    assert run_diglot("export", "--list", tmp_path / "two" / "model") == 0


@pytest.mark.skipif(find_spec("deepspeed") is not None, reason="deepspeed is installed")
def test_deepspeed_that_is_not_installed_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    with pytest.raises(ConfigError, match="DeepSpeed is not installed"):
        launch.make_accelerator(tiny_stage(tmp_path, tmp_path / "run"))


@pytest.mark.slow
@pytest.mark.skipif(torch.accelerator.is_available(), reason="of machines without a GPU")
def test_without_gpus_nothing_is_shared_and_that_is_said(world, tmp_path, monkeypatch, caplog):
    pytest.importorskip("deepspeed", reason=NEEDED)
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    assert train(tiny_stage(world, tmp_path / "run", max_samples=8)).is_dir()
    assert "nothing is sharded" in caplog.text


REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "stage 3": ({"zero_optimization": {"stage": 3}}, {}, "FSDP with fsdp_version: 2"),
    "stage 0": ({"zero_optimization": {"stage": 0}}, {}, "MULTI_GPU"),
    "fp16": ({"zero_optimization": {"stage": 2}}, {"precision": "fp16"}, "precision: bf16"),
    "its own optimizer": (
        {"zero_optimization": {"stage": 2}, "optimizer": {"type": "Adam"}},
        {},
        "Take it out of the file",
    ),
}


@pytest.mark.parametrize(("asked", "settings", "message"), REFUSED.values(), ids=REFUSED)
def test_what_a_recipe_cannot_have_is_refused(tmp_path, asked, settings, message):
    with pytest.raises(ConfigError, match=message):
        _check_settings(asked, tiny_stage(tmp_path, tmp_path / "run", **settings))


def test_the_recipe_says_what_is_clipped_and_counted(tmp_path, caplog):
    settings = {"gradient_clipping": 9.0, "train_batch_size": 64, "bf16": {"enabled": True}}
    settings |= {"zero_optimization": {"stage": 2, "overlap_comm": True}}
    config = tiny_stage(tmp_path, tmp_path / "run", micro_batch=2)
    _adopt_recipe(settings, config)
    assert settings["gradient_clipping"] == config.optim.clip
    assert settings["gradient_accumulation_steps"] == 1
    assert settings["train_micro_batch_size_per_gpu"] == 2
    assert not settings["bf16"]["enabled"]
    assert "train_batch_size" not in settings
    assert settings["zero_optimization"] == {"stage": 1, "overlap_comm": False}
    assert "ZeRO 1 in place of ZeRO 2" in caplog.text
