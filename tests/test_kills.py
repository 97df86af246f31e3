"""Kills at random moments: the same command ends with the files of an unbroken run."""

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from diglot.core.progress import ignore_progress
from diglot.data.config import FeaturesConfig
from diglot.data.records import open_dataset, write_dataset
from diglot.data.rejected import Rejected
from diglot.synth.patch_labels.labellers.regions import RegionLabeller
from diglot.synth.patch_labels.run import label_dataset
from diglot.synth.scene_pairs.write import write_pairs
from diglot.synth.scenes.compose import SceneMaker
from diglot.synth.scenes.config import ScenesConfig
from diglot.synth.scenes.write import write_scenes
from diglot.train.loop import train
from tests.damage import contents
from tests.synth.scene_pairs.test_scene_pairs import maker as pair_maker
from tests.synth.scenes.shapes import pools
from tests.tiny_folders import save_world, tiny_samples, tiny_stage
from tests.train.outcome import figures

pytestmark = pytest.mark.slow
CONFIG = ScenesConfig(image_px=64, object_px=(16, 24), objects=(1, 3))


def kill_again_and_again(work: Callable[[], None], longest_s: float, *, seed: int) -> int:
    """Run `work` in processes that are killed, later and later, until one ends; how many died."""
    rng, kills = random.Random(seed), 0
    while True:
        process = multiprocessing.get_context("fork").Process(target=work)
        process.start()
        process.join(rng.uniform(0, longest_s * (1 + kills / 8)))
        if not process.is_alive():
            assert process.exitcode == 0
            return kills
        os.kill(process.pid or 0, signal.SIGKILL)
        process.join()
        kills += 1


def measured(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join()
    assert process.exitcode == 0
    return time.perf_counter() - began


def assert_no_left_overs(folder: Path) -> None:
    assert not [p for p in folder.rglob(".*") if p.suffix in (".tmp", ".old")]


@pytest.mark.parametrize("seed", range(3))
def test_scenes(tmp_path: Path, seed: int) -> None:
    scenes = SceneMaker(pools(), CONFIG, seed=seed)

    def work(name: str) -> Callable[[], None]:
        return lambda: write_scenes(scenes, tmp_path / name, 40, shard_samples=3) and None

    took_s = measured(work("whole"))
    assert kill_again_and_again(work("cut"), took_s / 3, seed=seed) > 0
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")
    assert_no_left_overs(tmp_path / "cut")


@pytest.mark.parametrize("seed", range(2))
def test_pairs(tmp_path: Path, seed: int) -> None:
    def work(name: str) -> Callable[[], None]:
        return lambda: write_pairs(pair_maker(), tmp_path / name, 12) and None

    took_s = measured(work("whole"))
    assert kill_again_and_again(work("cut"), took_s / 3, seed=seed) > 0
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")
    assert_no_left_overs(tmp_path / "cut")


@pytest.mark.parametrize("seed", range(3))
def test_labels(tmp_path: Path, seed: int) -> None:
    write_dataset(tiny_samples(60), tmp_path / "data", shard_samples=2)
    dataset = open_dataset(tmp_path / "data")

    def work(name: str) -> Callable[[], None]:
        folder = tmp_path / name
        labeller = RegionLabeller(dataset, keep=2)
        rejected = Rejected(folder / "rejected.jsonl")
        return lambda: label_dataset(dataset, labeller, folder, rejected, ignore_progress)

    took_s = measured(work("whole"))
    assert kill_again_and_again(work("cut"), took_s / 3, seed=seed) > 0
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")
    assert_no_left_overs(tmp_path / "cut")


@pytest.mark.parametrize("features", [False, True])
@pytest.mark.parametrize("seed", range(2))
def test_training(tmp_path: Path, seed: int, features: bool) -> None:
    world = save_world(tmp_path / "world")

    def work(name: str) -> Callable[[], None]:
        cache = FeaturesConfig(folder=str(tmp_path / f"cache {name}")) if features else None
        stage = tiny_stage(world, tmp_path / name, checkpoint_every=1, features=cache)
        return lambda: train(stage) and None

    took_s = measured(work("whole"))
    assert kill_again_and_again(work("cut"), took_s / 2, seed=seed) > 0
    models = [tmp_path / name / "model" / "projector.safetensors" for name in ("cut", "whole")]
    assert models[0].read_bytes() == models[1].read_bytes()
    assert figures(tmp_path / "cut") == figures(tmp_path / "whole")
    assert_no_left_overs(tmp_path)
