import json
from dataclasses import replace

import pytest

from diglot import __version__
from diglot.core.errors import ConfigError
from diglot.data.config import FeaturesConfig
from diglot.models.language import LanguageConfig
from diglot.models.vlm import VLMConfig
from diglot.train.config import OptimConfig
from diglot.train.loop import train
from diglot.train.run_folder import describe_environment, lock_run, open_run
from tests.tiny_folders import tiny_stage

BASE = {"language": LanguageConfig(path="l"), "encoder": {"name": "clip", "path": "c"}}


def test_settings_and_surroundings_are_written_first(world, tmp_path):
    folder = open_run(tiny_stage(world, tmp_path / "deep" / "run"), fingerprint="f")
    config = json.loads((folder / "config.json").read_text())
    assert config["optim"]["lr"] == 3e-3
    assert config["model"]["encoder"]["name"] == "clip"
    written = json.loads((folder / "environment.json").read_text())
    assert written == describe_environment()
    assert written["packages"]["torch"]
    assert written["packages"]["diglot"] == __version__  # of the code, not of an old install
    assert written["python"].startswith("3.")


def begin(config):
    """A run that has come past its checks."""
    (open_run(config, fingerprint="f") / "metrics.jsonl").touch()


def test_a_run_that_stopped_before_step_0_binds_nothing(world, tmp_path):
    config = tiny_stage(world, tmp_path)
    open_run(config, fingerprint="f")
    (tmp_path / "rejected.jsonl").write_text('{"id": "a", "reason": "b"}\n')
    open_run(config, fingerprint="f")
    assert (tmp_path / "rejected.jsonl").exists()
    open_run(replace(config, seed=5), fingerprint="f")
    assert json.loads((tmp_path / "config.json").read_text())["seed"] == 5
    assert not (tmp_path / "rejected.jsonl").exists()


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("seed", {"seed": 1}),
        ("optim.lr", {"optim": OptimConfig(lr=1.0, warmup=0.1)}),
        ("objective", {"objective": "caption"}),
        ("objective.entity_weight", {"objective": {"name": "code_switch", "entity_weight": 0.0}}),
        (
            "model.encoder",
            {"model": VLMConfig(**BASE | {"encoder": {"name": "siglip", "path": "p"}})},
        ),
        ("micro_batch", {"micro_batch": 2}),
        ("max_samples", {"max_samples": 3}),
        ("features.dtype", {"features": FeaturesConfig(folder="f", dtype="float16")}),
    ],
)
def test_other_settings_are_refused_by_name(world, tmp_path, field, change):
    config = tiny_stage(world, tmp_path)
    begin(config)
    with pytest.raises(ConfigError, match="another") as error:
        open_run(replace(config, **change), fingerprint="f")
    assert f"a run with another {field};" in str(error.value)
    assert str(tmp_path) in str(error.value)
    assert "Give another --out" in str(error.value)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"workers": 3},
        {"checkpoint_every": 9},
        {"features": FeaturesConfig(folder="anywhere", dtype="float32")},
        {"objective": "code_switch"},
    ],
)
def test_what_changes_no_figure_may_differ(world, tmp_path, change):
    config = tiny_stage(world, tmp_path)
    begin(config)
    assert open_run(replace(config, **change), fingerprint="f") == tmp_path
    open_run(config, fingerprint="f")


def test_other_data_under_the_same_path_is_another_run(world, tmp_path):
    config = tiny_stage(world, tmp_path)
    begin(config)
    with pytest.raises(ConfigError, match="another data_fingerprint"):
        open_run(config, fingerprint="g")


@pytest.mark.parametrize("name", ["file/x", "file"])
def test_a_folder_that_cannot_be_made(world, tmp_path, name):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"no folder can be made here: .* is a file"):
        open_run(tiny_stage(world, tmp_path / name), fingerprint="f")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "notes.txt"])
def test_a_folder_of_others_is_left_alone(world, tmp_path, name):
    (tmp_path / "checkpoint").mkdir()
    path = tmp_path / "checkpoint" / name
    path.write_text('{"model_type": "llama"}')
    with pytest.raises(ConfigError, match="holds") as error:
        open_run(tiny_stage(world, tmp_path / "checkpoint"), fingerprint="f")
    assert str(tmp_path / "checkpoint") in str(error.value)
    assert [p.name for p in (tmp_path / "checkpoint").iterdir()] == [name]
    assert path.read_text() == '{"model_type": "llama"}'


def test_two_runs_in_one_folder_are_refused(world, tmp_path):
    config = tiny_stage(world, tmp_path / "run")
    with (
        lock_run(tmp_path / "run", active=True),
        pytest.raises(ConfigError, match="another process is writing here"),
    ):
        train(config)
