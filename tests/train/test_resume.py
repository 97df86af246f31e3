"""A killed run, started again with the same command, ends with the same figures and weights."""

import json
import multiprocessing
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from diglot.core.errors import ConfigError
from diglot.core.run_files import read_metrics
from diglot.train import state
from diglot.train.config import StageConfig
from diglot.train.loop import train
from tests.tiny_folders import tiny_stage
from tests.train.outcome import figures, weights

# Partial last steps, accumulation, random choices of each sample, two epochs.
HARD = {
    "objective": {"name": "code_switch", "replace_probability": 0.5},
    "max_samples": 14,
    "epochs": 2,
    "global_batch": 4,
    "micro_batch": 3,
}


@pytest.fixture(scope="module")
def undisturbed(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tiny_stage(world, tmp_path_factory.mktemp("whole") / "run", **HARD)).parent


def start(
    config: StageConfig, before: Callable[[], None] = lambda: None
) -> multiprocessing.Process:
    """`train` in a process of its own."""

    def work() -> None:
        before()
        train(config)

    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    return process  # type: ignore[return-value]


def kill_after(process: multiprocessing.Process, out: Path, lines: int) -> bool:
    """SIGKILL once so many lines were recorded; False where the run ended by itself."""
    while process.is_alive():
        if len(read_metrics(out / "metrics.jsonl")) >= lines:
            os.kill(process.pid, signal.SIGKILL)  # type: ignore[arg-type]
        time.sleep(0.002)
    process.join()
    if process.exitcode == -signal.SIGKILL:
        return True
    assert process.exitcode == 0
    return False


def assert_same(out: Path, whole: Path) -> None:
    assert figures(out) == figures(whole)
    files = [folder / "model" / "projector.safetensors" for folder in (out, whole)]
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_killed_at_random_again_and_again(world, tmp_path, undisturbed, seed):
    rng = random.Random(seed)
    config = tiny_stage(world, tmp_path / "run", **HARD, checkpoint_every=rng.choice([1, 2, 3]))
    kills = 0
    while True:
        done = len(read_metrics(tmp_path / "run" / "metrics.jsonl"))
        wanted = done + rng.randint(config.checkpoint_every, 4)
        if not kill_after(start(config), tmp_path / "run", wanted):
            break
        kills += 1
    assert kills >= 1
    assert len(figures(undisturbed)) == 8
    assert_same(tmp_path / "run", undisturbed)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def in_the_middle() -> None:
    save = state.save_file

    def once(tensors, path):
        save(tensors, path)
        if path.name == state.WEIGHTS and "step-00000004" in path.parent.name:
            die()

    state.save_file = once


def around_the_rename(after: bool) -> Callable[[], None]:
    replace = os.replace

    def dying(source, target):
        doomed = str(target).endswith("step-00000004")
        if doomed and not after:
            die()
        replace(source, target)
        if doomed:
            die()

    def patch() -> None:
        os.replace = dying

    return patch


@pytest.mark.parametrize(
    "where", [in_the_middle, around_the_rename(False), around_the_rename(True)]
)
def test_killed_while_a_checkpoint_is_written(world, tmp_path, undisturbed, where):
    config = tiny_stage(world, tmp_path / "run", **HARD)
    process = start(config, where)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert len(figures(tmp_path / "run")) == 4
    train(config)
    assert_same(tmp_path / "run", undisturbed)
    kept = [p.name for p in (tmp_path / "run" / "state").iterdir()]
    assert kept == ["step-00000008"]


def test_killed_between_the_last_state_and_the_result(world, tmp_path, undisturbed):
    config = tiny_stage(world, tmp_path / "run", **HARD)
    train(config)
    for file in (tmp_path / "run" / "model").iterdir():
        file.unlink()
    (tmp_path / "run" / "model").rmdir()
    train(config)
    assert_same(tmp_path / "run", undisturbed)


def test_what_may_change_when_a_run_resumes(world, tmp_path, undisturbed):
    process = start(tiny_stage(world, tmp_path / "run", **HARD), around_the_rename(True))
    process.join()
    changed = {"workers": 1, "checkpoint_every": 3}
    train(tiny_stage(world, tmp_path / "run", **HARD | changed))
    assert_same(tmp_path / "run", undisturbed)


def test_a_finished_run_returns_at_once(world, tmp_path):
    config = tiny_stage(world, tmp_path / "run", max_samples=4)
    first = train(config)
    stamp = (first / "projector.safetensors").stat().st_mtime_ns
    began = time.process_time()
    assert train(config, report=lambda progress: pytest.fail("it trained")) == first
    assert time.process_time() - began < 0.5
    assert (first / "projector.safetensors").stat().st_mtime_ns == stamp


def test_a_kept_model_that_was_not_recorded_is_written_again(world, tmp_path):
    config, out = tiny_stage(world, tmp_path / "run", max_samples=4, keep_every=1), tmp_path / "run"
    train(config)
    whole = set(json.loads((out / "finished.json").read_text())["files"])
    assert any(name.startswith("kept/step-00000000/") for name in whole)
    for name in ("model", "state"):
        shutil.rmtree(out / name)
    for name in ("finished.json", "metrics.jsonl", "kept/.digests.json"):
        (out / name).unlink()
    train(config)
    assert set(json.loads((out / "finished.json").read_text())["files"]) == whole


def test_a_finished_run_s_state_is_read_only_where_its_model_is_damaged(world, tmp_path):
    config = tiny_stage(world, tmp_path / "run", max_samples=4)
    projector = train(config) / "projector.safetensors"
    saved = next((tmp_path / "run" / "state").glob("*/weights.safetensors"))
    saved.write_bytes(saved.read_bytes()[:-1])
    train(config)
    projector.write_bytes(projector.read_bytes()[:-1])
    with pytest.raises(ConfigError, match="not as the run left it") as error:
        train(config)
    assert str(saved) in str(error.value)


@pytest.mark.parametrize("name", ["state.json", "weights.safetensors", "optimizer.safetensors"])
@pytest.mark.parametrize("how", ["cut", "gone"])
def test_a_corrupt_state_says_what_to_do(world, tmp_path, undisturbed, name, how):
    config = tiny_stage(world, tmp_path / "run", **HARD)
    process = start(config, around_the_rename(True))
    process.join()
    newest = tmp_path / "run" / "state" / "step-00000004"
    file = newest / name
    if how == "gone":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:20])
    with pytest.raises(ConfigError, match="Delete the folder") as error:
        train(config)
    assert str(newest) in str(error.value)
    assert "\n" not in str(error.value)


def test_states_hold_the_step_and_only_what_learns(world, tmp_path):
    train(tiny_stage(world, tmp_path / "run", max_samples=8))
    newest = tmp_path / "run" / "state" / "step-00000002"
    assert json.loads((newest / "state.json").read_text())["content"]["step"] == 2
    held = set(weights(tmp_path / "run"))
    assert held == {"fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"}
    from safetensors.torch import load_file

    assert set(load_file(newest / "weights.safetensors")) == {f"projector.{n}" for n in held}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_saves_the_state_and_names_the_step(world, tmp_path, undisturbed, caplog, number):
    config = tiny_stage(world, tmp_path / "run", **HARD, checkpoint_every=100)

    def stop(progress):
        if progress.done >= 12:
            os.kill(os.getpid(), number)

    ends = {signal.SIGTERM: SystemExit, signal.SIGINT: KeyboardInterrupt}
    before = signal.getsignal(number)
    if before == signal.SIG_IGN:
        pytest.skip("the shell that started this in the background has it ignored")
    with pytest.raises(ends[number]):
        train(config, report=stop)
    assert signal.getsignal(number) == before
    assert "stopped after step 3 of 8; its state is saved" in caplog.text
    kept = [p.name for p in (tmp_path / "run" / "state").iterdir()]
    assert kept == ["step-00000003"]
    train(config)
    assert_same(tmp_path / "run", undisturbed)


def test_a_state_of_other_weights_is_refused(world, tmp_path):
    from diglot.files import read_kept, write_kept

    config = tiny_stage(world, tmp_path / "run", max_samples=8)
    model = train(config)
    shutil.rmtree(model)
    path = tmp_path / "run" / "state" / "step-00000002" / "state.json"
    kept = read_kept(path, state.FORMAT)
    kept["optimizer"][0]["params"].pop()
    write_kept(path, state.FORMAT, kept)
    with pytest.raises(ConfigError, match="the saved state is of other weights"):
        train(config)
