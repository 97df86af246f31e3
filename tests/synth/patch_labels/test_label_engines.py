"""Labels by worker processes and by Ray: the same bytes, whatever is killed or wrong."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.damage import contents
from tests.synth.patch_labels import toy_labeller
from tests.synth.pipeline import toy_annotators as toy

from diglot.core.errors import ConfigError
from diglot.core.progress import ignore_progress
from diglot.core.types import Sample
from diglot.data.labels import open_labels
from diglot.data.records import open_dataset, write_dataset
from diglot.data.rejected import Rejected
from diglot.synth.patch_labels import run
from diglot.synth.patch_labels.config import LabellerPart

PICTURES = 22


def write_data(folder: Path, *, faults: dict[int, int] | None = None, count: int = PICTURES):
    toy.write_pictures(folder / "pictures", count, faults=faults)
    samples = [
        Sample.captioned(
            id=path.stem,
            image=path.read_bytes(),
            size_hw=(24 + index % 3, 32),
            caption="A picture.",
        )
        for index, path in enumerate(sorted((folder / "pictures").glob("*.png")))
    ]
    write_dataset(samples, folder / "data", shard_samples=7)
    return folder / "data"


@pytest.fixture(autouse=True)
def small_slices(monkeypatch):
    monkeypatch.setattr(run, "SLICE_IMAGES", 4)


def label(data: Path, out: Path, *, settings: dict | None = None, **engine):
    part = LabellerPart(toy_labeller.NAME, settings or {})
    dataset, rejected = open_dataset(data), Rejected(out / "rejected.jsonl")
    made = part.build(dataset=dataset, folder=out, rejected=rejected, report=ignore_progress)
    run.label_dataset(dataset, made, out, rejected, ignore_progress, part=part, **engine)
    return open_labels(out, dataset)


def test_an_image_that_the_labeller_fails_on_costs_itself_alone(tmp_path: Path) -> None:
    data = write_data(tmp_path, faults={2: toy.RAISES, 5: toy.RUBBISH})
    labels = label(data, tmp_path / "out")
    assert Rejected(tmp_path / "out" / "rejected.jsonl").counts == {
        "the toy does not like this picture": 1,
        "the labeller failed (IndexError)": 1,
    }
    for index in range(PICTURES):
        if index in (2, 5):
            with pytest.raises(ValueError, match="could not be labelled"):
                labels[index]
        else:
            assert {len(words) for words in labels[index].words} == {3}
    assert sorted(path.name for path in (tmp_path / "out").iterdir() if path.is_dir()) == []


def test_a_labeller_that_always_fails_stops_the_run_and_is_mended(tmp_path: Path) -> None:
    data = write_data(tmp_path)
    with pytest.raises(ConfigError, match="on each of the first 4 images"):
        label(data, tmp_path / "out", settings={"fails": True})
    label(data, tmp_path / "out")
    label(data, tmp_path / "whole")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_parts_that_are_there_are_not_made_again(tmp_path: Path, monkeypatch) -> None:
    data, calls = write_data(tmp_path), []
    real = toy_labeller.ToyLabeller.label

    def count(self, samples, pictures):
        calls.append(len(pictures))
        if sum(calls) > 13:
            raise OSError(28, "No space left on device")
        return real(self, samples, pictures)

    monkeypatch.setattr(toy_labeller.ToyLabeller, "label", count)
    with pytest.raises(OSError, match="No space left"):
        label(data, tmp_path / "out")
    calls[:] = [-100]
    label(data, tmp_path / "out")
    assert sum(calls[1:]) == PICTURES - 12
    monkeypatch.undo()
    monkeypatch.setattr(run, "SLICE_IMAGES", 4)
    label(data, tmp_path / "whole")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


@pytest.mark.slow
def test_workers_write_the_same_bytes_and_an_image_that_kills_them_is_left_out(
    tmp_path: Path,
) -> None:
    data = write_data(tmp_path)
    label(data, tmp_path / "here")
    label(data, tmp_path / "workers", workers=2)
    assert contents(tmp_path / "here") == contents(tmp_path / "workers")
    bad = write_data(tmp_path / "bad", faults={5: toy.KILLS}, count=9)
    label(bad, tmp_path / "killed", workers=1)
    counts = Rejected(tmp_path / "killed" / "rejected.jsonl").counts
    assert counts == {"its worker was killed twice": 1}


@pytest.mark.slow
def test_ray_writes_the_same_bytes(tmp_path: Path) -> None:
    ray = pytest.importorskip("ray")
    data = write_data(tmp_path)
    label(data, tmp_path / "here")
    try:
        label(data, tmp_path / "ray", engine="ray", workers=2)
    finally:
        ray.shutdown()
    assert contents(tmp_path / "here") == contents(tmp_path / "ray")


KILLED = """
import sys
from pathlib import Path
from diglot.synth.patch_labels import run
from tests.synth.patch_labels.test_label_engines import label
run.SLICE_IMAGES = 4
if __name__ == "__main__":
    label(Path(sys.argv[1]), Path(sys.argv[2]), settings={"seconds": 0.05}, workers=2)
"""


@pytest.mark.slow
def test_a_run_by_workers_killed_at_random_moments_equals_an_unbroken_one(tmp_path: Path) -> None:
    data, rng = write_data(tmp_path), random.Random(0)

    def run_for(after_s: float, out: str = "cut") -> bool:
        command = [sys.executable, "-c", KILLED, str(data), str(tmp_path / out)]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            return process.wait(after_s) == 0
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return False

    began_s = time.monotonic()
    assert run_for(600.0, "whole")
    took_s = time.monotonic() - began_s
    for _ in range(5):
        run_for(rng.uniform(0.4, 1.0) * took_s)
    while not run_for(600.0):
        pass
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")
