"""A run made longer ends as one that was so long from its start, or as `lengthen` says."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from diglot.core.errors import ConfigError
from diglot.train.config import OptimConfig, StageConfig
from diglot.train.loop import train
from diglot.train.optim import lr_at
from tests.tiny_folders import tiny_stage
from tests.train.outcome import figures, weights

CONSTANT = OptimConfig(lr=3e-3, schedule="constant", warmup=0.0)
# Partial last steps, accumulation, random choices of each sample.
HARD = {
    "objective": {"name": "code_switch", "replace_probability": 0.5},
    "max_samples": 14,
    "micro_batch": 3,
    "keep_every": 2,
}


def stage(world: Path, out: Path, **changes) -> StageConfig:
    return tiny_stage(world, out, **HARD | {"optim": CONSTANT} | changes)


def contents(folder: Path) -> dict[str, bytes]:
    """The files that are a run's, but for what shows the time or the place."""
    apart = ("tensorboard", "config.json", "environment.json", "finished.json", ".run.lock")
    files = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
    kept = {name: p for name, p in files.items() if not name.startswith(apart)}
    own = ("metrics.jsonl", "state.json", ".digests.json")
    return {name: p.read_bytes() for name, p in kept.items() if not name.endswith(own)}


def assert_same_run(out: Path, whole: Path) -> None:
    assert figures(out) == figures(whole)
    assert contents(out) == contents(whole)


@pytest.fixture(scope="module")
def at_once(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two epochs of four steps in one run."""
    return train(stage(world, tmp_path_factory.mktemp("whole") / "run", epochs=2)).parent


@pytest.mark.parametrize(
    ("first", "then"),
    [({"epochs": 1}, {"epochs": 2}), ({"epochs": 2, "max_steps": 3}, {"epochs": 2})],
)
def test_longer_is_as_long_at_once(world, tmp_path, at_once, first, then):
    short = train(stage(world, tmp_path / "run", **first))
    before = weights(short.parent)
    train(stage(world, tmp_path / "run", **then))
    assert_same_run(tmp_path / "run", at_once)
    assert any((before[k] != v).any() for k, v in weights(tmp_path / "run").items())
    [entry] = json.loads((tmp_path / "run/config.json").read_text())["lengthened"]
    assert entry["after_steps"] == first.get("max_steps", 4)
    train(stage(world, tmp_path / "run", **then), report=lambda _: pytest.fail("it trained"))


def test_the_rates_of_a_run_that_falls_are_not_made_longer_unasked(world, tmp_path):
    cosine = OptimConfig(lr=3e-3, warmup=0.1)
    train(stage(world, tmp_path / "run", optim=cosine))
    before = contents(tmp_path / "run"), (tmp_path / "run/config.json").read_bytes()
    with pytest.raises(ConfigError, match=r"optim\.schedule cosine, optim\.warmup 0\.1") as error:
        train(stage(world, tmp_path / "run", optim=cosine, epochs=2))
    for part in ("epochs:", "--lengthen stretch", f"--start_from {tmp_path / 'run'}/model"):
        assert part in str(error.value)
    assert before == (contents(tmp_path / "run"), (tmp_path / "run/config.json").read_bytes())
    assert (tmp_path / "run/finished.json").exists()


def test_a_falling_weight_is_named_too(world, tmp_path):
    falling = {"name": "code_switch", "weight": {"schedule": "linear", "start": 1, "end": 0.5}}
    train(stage(world, tmp_path / "run", objective=falling))
    with pytest.raises(ConfigError, match=r"objective\.weight"):
        train(stage(world, tmp_path / "run", objective=falling, epochs=2))


def test_stretched_rates_are_those_of_a_run_so_long_from_its_start(world, tmp_path):
    cosine = OptimConfig(lr=3e-3, warmup=0.3)
    short = stage(world, tmp_path / "run", optim=cosine)
    train(short)
    train(replace(short, epochs=2, lengthen="stretch"))
    rates = [line["lr"] for line in figures(tmp_path / "run")]
    assert rates[:4] == [lr_at(step, 4, cosine) for step in range(4)]
    assert rates[4:] == [lr_at(step, 8, cosine) for step in range(4, 8)]
    settings = json.loads((tmp_path / "run/config.json").read_text())
    assert settings["epochs"] == 2
    assert settings["lengthened"] == [{"after_steps": 4, "epochs": [1, 2], "lengthen": "stretch"}]
    train(replace(short, epochs=3, lengthen="stretch"))
    assert len(figures(tmp_path / "run")) == 12
    assert len(json.loads((tmp_path / "run/config.json").read_text())["lengthened"]) == 2


@pytest.mark.parametrize("changes", [{"epochs": 1}, {"epochs": 2, "max_steps": 5}])
def test_a_run_is_not_made_shorter(world, tmp_path, at_once, changes):
    shutil.copytree(at_once, tmp_path / "run")
    with pytest.raises(ConfigError, match=r"another (epochs|max_steps)"):
        train(stage(world, tmp_path / "run", **changes))


def test_without_a_state_of_its_end_it_says_what_to_do(world, tmp_path):
    train(stage(world, tmp_path / "run"))
    shutil.rmtree(tmp_path / "run/state")
    with pytest.raises(ConfigError, match=r"no state of its end.*--start_from"):
        train(stage(world, tmp_path / "run", epochs=2))
    assert (tmp_path / "run/finished.json").exists()


def test_a_damaged_state_is_named_before_anything_changes(world, tmp_path):
    train(stage(world, tmp_path / "run"))
    saved = next((tmp_path / "run/state").glob("*/optimizer.safetensors"))
    saved.write_bytes(saved.read_bytes()[:-1])
    before = (tmp_path / "run/config.json").read_bytes()
    with pytest.raises(ConfigError, match="not as the run left it") as error:
        train(stage(world, tmp_path / "run", epochs=2))
    assert str(saved) in str(error.value)
    assert (tmp_path / "run/config.json").read_bytes() == before
    assert (tmp_path / "run/finished.json").exists()


class _KilledError(BaseException):
    """In the place of SIGKILL: nothing catches it."""


def die_at_change(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """The `number`th file that is replaced or removed ends the process, before the change."""
    left = [number]

    def dying(change):
        def counted(*args, **kwargs):
            if not left[0]:
                raise _KilledError
            left[0] -= 1
            return change(*args, **kwargs)

        return counted

    for name in ("replace", "unlink"):
        monkeypatch.setattr(os, name, dying(getattr(os, name)))


@pytest.mark.parametrize("number", range(6))
def test_killed_at_any_change_it_is_whole(world, tmp_path, monkeypatch, at_once, number):
    short = stage(world, tmp_path / "run", epochs=1)
    old = contents(train(short).parent)
    with monkeypatch.context() as patch:
        die_at_change(patch, number)
        with pytest.raises(_KilledError):
            train(replace(short, epochs=2))
    shutil.copytree(tmp_path / "run", tmp_path / "copy")
    again = replace(short, out=str(tmp_path / "copy"))
    if json.loads((tmp_path / "copy/config.json").read_text())["epochs"] == 1:
        train(again, report=lambda _: pytest.fail("it trained"))  # still the run of before
        assert contents(tmp_path / "copy") == old
    else:
        with pytest.raises(ConfigError, match="another epochs"):
            train(again)
    train(replace(short, epochs=2))
    assert_same_run(tmp_path / "run", at_once)
