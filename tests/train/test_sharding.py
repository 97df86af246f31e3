"""FSDP2 on two CPU processes (gloo): the losses and weights of one process, saved, resumed, out.

Accelerate shards over several GPUs alone; here its own plugin and `prepare` do the same on the CPU.
"""

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin

from diglot.core.errors import ConfigError
from diglot.core.preprocess import Preprocess
from diglot.data.config import FeaturesConfig
from diglot.data.records import write_dataset
from diglot.models.checkpoint import load_vlm
from diglot.models.config import LoraConfig
from diglot.models.trainable import Trainable
from diglot.models.vlm import VLM
from diglot.train import launch, loop
from diglot.train.config import OptimConfig, StageConfig
from diglot.train.loop import train
from diglot.train.sharding import check_units, find_units
from diglot.train.step import train_step
from tests.cli_runner import run_diglot
from tests.models.test_chat_template import CHATML
from tests.objectives.test_instruct import conversation
from tests.tiny import tiny_vlm
from tests.tiny_folders import tiny_stage
from tests.train.outcome import figures, steps
from tests.train.test_processes import OBJECTIVES, assert_near, train_by_two

LAYERS = {
    "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
    "FSDP_TRANSFORMER_CLS_TO_WRAP": "LlamaDecoderLayer,CLIPEncoderLayer",
}
POLICIES = {
    "whole": {"FSDP_AUTO_WRAP_POLICY": "NO_WRAP"},
    "layers": LAYERS,
    "layers, kept whole in between": LAYERS | {"FSDP_RESHARD_AFTER_FORWARD": "false"},
    "none named": {"FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP"},
}
EVERYTHING = Trainable(language=True, encoder=True)
ADAPTERS = Trainable(lora=LoraConfig(rank=4, dropout=0.0))
CALM = OptimConfig(lr=3e-4, warmup=0.0)  # AdamW's first steps turn on a gradient's sign


class ShardedOnCPU(Accelerator):
    """Shards as on several GPUs."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.state.distributed_type = DistributedType.FSDP
        self.state.fsdp_plugin = FullyShardedDataParallelPlugin()


def sharded(changes: Mapping[str, str] = LAYERS, *, steps: int | None = None) -> Callable[[], None]:
    """The start of a process: variables of `accelerate launch`; it may die after `steps`."""

    def prepare() -> None:
        os.environ |= {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"}
        os.environ |= {"FSDP_CPU_RAM_EFFICIENT_LOADING": "true", **changes}  # as it asks for
        launch.Accelerator = ShardedOnCPU
        if steps is not None:
            loop.train_step = dying_step(steps)

    return prepare


def dying_step(steps: int) -> Callable[..., Any]:
    done = iter(range(steps))

    def step(*args: Any, **kwargs: Any) -> Any:
        if next(done, None) is None:
            raise KeyError("killed")
        return train_step(*args, **kwargs)

    return step


def assert_same_run(
    config: Callable[[str], StageConfig],
    changes: Mapping[str, str] = LAYERS,
    parts: tuple[str, ...] = ("projector",),
) -> None:
    """Two sharing processes record and write what one does."""
    one, two = config("one"), config("two")
    train(one)
    outcomes = train_by_two(two, sharded(changes))
    assert [error for _, error in outcomes.values()] == ["", ""]
    for part in parts:
        assert_near(Path(two.out), Path(one.out), part)


def test_a_sharded_projector_learns_as_on_one_process(world, tmp_path):
    def config(name: str) -> StageConfig:
        return tiny_stage(world, tmp_path / name, max_samples=4, micro_batch=1, optim=CALM)

    assert_same_run(config)


@pytest.mark.slow
@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
@pytest.mark.parametrize(
    ("trainable", "parts"),
    [
        (Trainable(), ("projector",)),
        (EVERYTHING, ("projector", "language", "encoder")),
        (ADAPTERS, ("projector",)),
    ],
    ids=["projector", "everything", "adapters"],
)
def test_whatever_learns_under_every_policy(world, tmp_path, policy, trainable, parts):
    def config(name: str) -> StageConfig:
        settings = {"max_samples": 11, "micro_batch": 1, "optim": CALM, "trainable": trainable}
        return tiny_stage(world, tmp_path / name, **settings)

    assert_same_run(config, policy, parts)


@pytest.mark.slow
@pytest.mark.parametrize("objectives", OBJECTIVES.values(), ids=OBJECTIVES)
def test_every_objective(world, tmp_path, objectives):
    def config(name: str) -> StageConfig:
        settings = {"max_samples": 11, "micro_batch": 1, "trainable": EVERYTHING, "optim": CALM}
        return tiny_stage(world, tmp_path / name, **(settings | objectives))

    assert_same_run(config, parts=("projector", "language"))


def talk_of_few_images(
    world: Path, tmp_path: Path, **settings: Any
) -> Callable[[str], StageConfig]:
    """Conversations of which every other pass has text alone."""
    (tmp_path / "chat.jinja").write_text(CHATML)
    talk = [
        conversation(f"image {i}", "<image>\nWhat?", "A dog.", images=1)
        if i in (1, 2, 5)
        else conversation(f"text {i}", "Say a word.", "Guitar.")
        for i in range(8)
    ]
    write_dataset(talk, tmp_path / "talk")
    instruct = {"name": "instruct", "template": str(tmp_path / "chat.jinja")}
    fixed = {"data": str(tmp_path / "talk"), "objective": instruct, "optim": CALM}
    fixed |= {"global_batch": 2, "micro_batch": 1, **settings}
    return lambda name: tiny_stage(world, tmp_path / name, **fixed)


@pytest.mark.slow
@pytest.mark.parametrize("cached", [False, True])
def test_a_process_with_text_alone_runs_the_units_of_images_too(world, tmp_path, cached):
    cache = FeaturesConfig(folder=str(tmp_path / "cache"), dtype="float32") if cached else None
    learn = Trainable(language=True, encoder=not cached)
    config = talk_of_few_images(world, tmp_path, trainable=learn, features=cache)
    assert_same_run(config, parts=("projector", "language"))


@pytest.mark.slow
def test_a_killed_run_resumes_by_two_and_by_one(world, tmp_path):
    settings = {"max_samples": 16, "checkpoint_every": 1, "trainable": EVERYTHING, "optim": CALM}
    train(tiny_stage(world, tmp_path / "one", **settings))
    outcomes = train_by_two(tiny_stage(world, tmp_path / "two", **settings), sharded(steps=2))
    assert {error for _, error in outcomes.values()} == {"KeyError 'killed'"}
    assert len(steps(tmp_path / "two")) == 2
    shutil.copytree(tmp_path / "two", tmp_path / "alone")
    outcomes = train_by_two(tiny_stage(world, tmp_path / "two", **settings), sharded())
    assert outcomes == {0: (2, ""), 1: (0, "")}
    train(tiny_stage(world, tmp_path / "alone", **settings))
    for name in ("two", "alone"):
        for part in ("projector", "language", "encoder"):
            assert_near(tmp_path / name, tmp_path / "one", part)


def read_weights(vlm: VLM) -> dict[str, float]:
    """What a probe may do: weights and parts read as it likes, and backward never."""
    with torch.no_grad():
        pixels = torch.linspace(-1, 1, 3 * 32 * 32).reshape(3, 32, 32)
        visual_ND = vlm.project(vlm.features([pixels]))
        hidden = vlm.language.decode(visual_ND[None]).last_hidden_state
        words = vlm.language.input_embeddings.weight
        return {"words": (words @ words.T).mean().item(), "hidden": hidden.square().mean().item()}


@pytest.mark.slow
def test_probes_read_whole_weights_and_training_goes_on(world, tmp_path):
    settings = {"max_samples": 12, "probe_every": 1, "trainable": EVERYTHING, "optim": CALM}
    settings["probe_share"] = 0.99
    one = train(tiny_stage(world, tmp_path / "one", **settings), probe=read_weights)
    stage = tiny_stage(world, tmp_path / "two", **settings)
    outcomes = train_by_two(stage, sharded(), read_weights)
    assert [error for _, error in outcomes.values()] == ["", ""]
    assert len([line for line in figures(one.parent) if "probe/words" in line]) == 3
    assert_near(tmp_path / "two", tmp_path / "one", "language")


@pytest.mark.slow
def test_half_precision_computes_as_unsharded(world, tmp_path):
    settings = {"max_samples": 8, "precision": "bf16", "micro_batch": 1, "optim": CALM}
    outcomes = train_by_two(tiny_stage(world, tmp_path / "plain", **settings))
    outcomes |= train_by_two(tiny_stage(world, tmp_path / "two", **settings), sharded())
    assert [error for _, error in outcomes.values()] == ["", ""]
    for mine, theirs in zip(figures(tmp_path / "two"), figures(tmp_path / "plain"), strict=True):
        assert mine == pytest.approx(theirs, rel=1e-2)


@pytest.mark.slow
def test_what_two_wrote_goes_out_to_stock_transformers(world, tmp_path):
    settings = {"max_samples": 8, "keep_every": 1, "trainable": EVERYTHING}
    stage = tiny_stage(world, tmp_path / "two", **settings)
    projector = {"name": "mlp", "hidden": 32}  # a Llava's is as wide as its language model
    model = replace(stage.model, projector=projector, preprocess=Preprocess(image_px=32))
    outcomes = train_by_two(replace(stage, model=model), sharded())
    assert outcomes[0][1] == ""
    command = ["export", tmp_path / "two" / "model", "--to", "llava", "--out", tmp_path / "out"]
    assert load_vlm(tmp_path / "two" / "kept" / "step-00000001")
    assert run_diglot(*command, "--check") == 0


REFUSED: dict[str, tuple[dict[str, str], dict[str, Any], str]] = {
    "version 1": ({"FSDP_VERSION": "1"}, {}, "FSDP 1 is not known here"),
    "by size": (
        {"FSDP_AUTO_WRAP_POLICY": "SIZE_BASED_WRAP", "FSDP_MIN_NUM_PARAMS": "100"},
        {},
        "read outside of it",
    ),
    "no such class": (
        {**LAYERS, "FSDP_TRANSFORMER_CLS_TO_WRAP": "OtherLayer"},
        {},
        "OtherLayer",
    ),
    "layers renamed": ({"FSDP_ACTIVATION_CHECKPOINTING": "true"}, {}, "rename the weights"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("changes", "settings", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_sharded_is_refused_before_step_0(
    world, tmp_path, changes, settings, message
):
    stage = tiny_stage(world, tmp_path / "two", max_samples=8, **settings)
    outcomes = train_by_two(stage, sharded(changes))
    assert {error.split()[0] for _, error in outcomes.values()} == {"ConfigError"}
    assert message in outcomes[0][1]
    assert not steps(tmp_path / "two")


def test_layers_that_processes_run_unevenly_are_refused():
    vlm = tiny_vlm()
    plugin = FullyShardedDataParallelPlugin(
        fsdp_version=2, auto_wrap_policy="transformer_based_wrap"
    )
    units = find_units(plugin, vlm)
    assert list(units) == ["language.model.model.layers.0", "language.model.model.layers.1"]
    check_units(vlm, units)
    vlm.attention = "separate"
    with pytest.raises(ConfigError, match="one pass a document"):
        check_units(vlm, units)
