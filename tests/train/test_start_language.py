"""A run takes its projector from one checkpoint and its language model from another."""

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from diglot.core.errors import ConfigError
from diglot.models.checkpoint import load_vlm
from diglot.models.config import EncoderPart, LoraConfig
from diglot.models.trainable import Trainable
from diglot.models.vlm import VLM
from diglot.train.loop import train
from diglot.train.mixture import build_mixture
from diglot.train.run_model import open_model
from tests.tiny_folders import tiny_stage

LORA = LoraConfig(rank=2, dropout=0.0)
LANGUAGE = {"lora": Trainable(projector=False, lora=LORA), "all": Trainable(language=True)}


@pytest.fixture(scope="module")
def starts(world: Path, tmp_path_factory: Any) -> Mapping[str, Path]:
    """Checkpoints: of a projector, of adapters, of a whole language model."""
    root = tmp_path_factory.mktemp("starts")
    learn = {"projector": Trainable(), **LANGUAGE}
    return {
        name: train(tiny_stage(world, root / name, trainable=part, max_samples=8, seed=seed))
        for seed, (name, part) in enumerate(learn.items())
    }


def logits(vlm: VLM) -> torch.Tensor:
    ids = torch.arange(3, 12)[None]
    with torch.no_grad():
        return vlm.language.model.eval()(input_ids=ids, use_cache=False).logits


@pytest.mark.parametrize("learned", list(LANGUAGE))
@pytest.mark.parametrize("lora", [None, LORA, LoraConfig(rank=3, dropout=0.0)])
def test_projector_and_language_come_from_two_checkpoints(
    world: Path, starts: Mapping[str, Path], tmp_path: Path, learned: str, lora: LoraConfig | None
) -> None:
    begins = {"start_from": str(starts["projector"]), "start_language": str(starts[learned])}
    stage = tiny_stage(
        world, tmp_path / "run", **begins, trainable=Trainable(lora=lora), max_samples=8
    )
    vlm = open_model(stage, build_mixture(stage.objective, stage.plus, stage.mix), None)
    taught = logits(load_vlm(starts[learned]))
    assert not taught.allclose(logits(load_vlm(starts["projector"])), atol=1e-4)
    torch.testing.assert_close(logits(vlm), taught)
    projector = load_file(starts["projector"] / "projector.safetensors")
    assert all(vlm.projector.state_dict()[name].equal(value) for name, value in projector.items())
    if lora is None:  # what was learned stays in the checkpoint of a run that does not train it
        torch.testing.assert_close(logits(load_vlm(train(stage))), taught, rtol=1e-4, atol=1e-5)


def test_a_language_model_from_nowhere_or_twice_is_refused(
    world: Path, starts: Mapping[str, Path], tmp_path: Path
) -> None:
    begins = {"start_from": str(starts["lora"]), "start_language": str(starts["all"])}
    with pytest.raises(ConfigError, match="start_from has a language model of its own"):
        train(tiny_stage(world, tmp_path / "a", **begins))
    with pytest.raises(ConfigError, match="its language model learned nothing"):
        train(tiny_stage(world, tmp_path / "b", start_language=str(starts["projector"])))


def test_adapters_that_do_not_fit_or_are_no_numbers_are_refused(
    world: Path, starts: Mapping[str, Path], tmp_path: Path
) -> None:
    weights = starts["lora"] / "lora.safetensors"
    for name, change in (("wider", lambda v: v.repeat(2, 2)), ("nan", lambda v: v * torch.nan)):
        wrong = tmp_path / name
        shutil.copytree(starts["lora"], wrong)
        save_file({k: change(v) for k, v in load_file(weights).items()}, wrong / weights.name)
        with pytest.raises(ConfigError, match=r"of another language model|are not finite"):
            train(tiny_stage(world, tmp_path / "run", start_language=str(wrong)))


def test_an_encoder_beside_the_language_model_is_not_written(
    world: Path, starts: Mapping[str, Path], tmp_path: Path
) -> None:
    taught = tmp_path / "taught"
    shutil.copytree(starts["lora"], taught)
    (taught / "encoder.safetensors").write_bytes(b"of that run")
    checkpoint = train(
        tiny_stage(world, tmp_path / "run", start_language=str(taught), max_samples=4)
    )
    assert not (checkpoint / "encoder.safetensors").exists()


@pytest.mark.parametrize(
    ("option", "first", "then"),
    [("start_language", "lora", "all"), ("start_from", "projector", "lora")],
)
def test_a_run_is_not_resumed_on_another_start(
    world: Path, starts: Mapping[str, Path], tmp_path: Path, option: str, first: str, then: str
) -> None:
    given = tmp_path / "given"
    shutil.copytree(starts[first], given)
    stage = tiny_stage(world, tmp_path / "run", **{option: str(given)}, max_samples=8)
    checkpoint = train(stage)
    shutil.rmtree(given)
    shutil.copytree(starts[first], given)  # the same made again
    assert train(stage) == checkpoint
    shutil.rmtree(given)
    shutil.copytree(starts[then], given)
    with pytest.raises(ConfigError, match=f"holds a run with another start_content.{option}"):
        train(stage)


@pytest.mark.parametrize("part", ["language", "encoder"])
def test_a_run_is_not_resumed_on_other_weights_of_a_part(
    world: Path, tmp_path: Path, part: str
) -> None:
    stage = tiny_stage(world, tmp_path / "run", max_samples=8)
    path = stage.model.language.path if part == "language" else stage.model.encoder.settings["path"]
    own = tmp_path / part
    shutil.copytree(path, own)
    parts = {
        "language": {"language": replace(stage.model.language, path=str(own))},
        "encoder": {"encoder": EncoderPart(stage.model.encoder.name, {"path": str(own)})},
    }
    model = replace(stage.model, **parts[part])
    stage = replace(stage, model=model)
    checkpoint = train(stage)
    weights = own / "model.safetensors"
    whole = load_file(weights)
    save_file({name: value.clone() for name, value in whole.items()}, weights, {"format": "pt"})
    assert train(stage) == checkpoint
    save_file({name: value * 2 for name, value in whole.items()}, weights, {"format": "pt"})
    with pytest.raises(ConfigError, match=f"holds a run with another start_content.{part}"):
        train(stage)
