"""Ray killed at random moments, its driver or an actor: the output is that of an unbroken run."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.synth.pipeline import toy_annotators as toy
from tests.synth.pipeline.test_run import run

pytest.importorskip("ray")
pytestmark = pytest.mark.slow

RUN = """
import sys
from pathlib import Path
from tests.synth.pipeline import toy_annotators as toy
from tests.synth.pipeline.test_run import run
steps = dict(toy.QUICK_STEPS)
steps["boxes"] = {"annotator": {"name": toy.NAME, "seconds": 0.1, "pids": sys.argv[3]}}
run(Path(sys.argv[1]), Path(sys.argv[2]), steps=steps, engine="ray", workers=2)
"""


def start_run(pictures: Path, out: Path, pids: Path) -> subprocess.Popen:
    command = [sys.executable, "-c", RUN, str(pictures), str(out), str(pids)]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)


def read_pids(pids: Path) -> list[list[int]]:
    """Of every worker that was built: its process, and its actor's."""
    lines = pids.read_text().splitlines() if pids.exists() else []
    return [[int(word) for word in line.split()] for line in lines]


def wait_for_worker(process: subprocess.Popen, pids: Path, known: int) -> list[int] | None:
    """A worker that was built since, and its actor; None where the run ended before."""
    while process.poll() is None:
        if len(found := read_pids(pids)) > known:
            return found[-1]
        time.sleep(0.05)
    return None


def kill_process(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    toy.write_pictures(tmp_path / "pictures", 40)
    run(tmp_path / "pictures", tmp_path / "whole", steps=toy.QUICK_STEPS)
    return tmp_path / "pictures"


def same_output(tmp_path: Path) -> bool:
    return toy.digest_output(tmp_path / "whole") == toy.digest_output(tmp_path / "killed")


def test_workers_and_actors_killed_at_random_moments(pictures: Path, tmp_path: Path) -> None:
    rng, pids, killed = random.Random(0), tmp_path / "pids", 0
    process = start_run(pictures, tmp_path / "killed", pids)
    while killed < 4 and (found := wait_for_worker(process, pids, killed + 1)):
        time.sleep(rng.uniform(0.0, 1.0))
        kill_process(found[killed % 2])
        killed += 1
    assert process.wait(300) == 0
    assert killed
    assert same_output(tmp_path)


def test_the_driver_killed_at_random_moments(pictures: Path, tmp_path: Path) -> None:
    """Its actors die with it; the same call again resumes."""
    rng, pids, kills = random.Random(1), tmp_path / "pids", 0
    while kills < 4:
        known = len(read_pids(pids))
        process = start_run(pictures, tmp_path / "killed", pids)
        if wait_for_worker(process, pids, known) is None:
            break  # it ended before an actor was needed
        time.sleep(rng.uniform(0.0, 2.0))
        kill_process(process.pid)
        process.wait()
        kills += 1
    assert start_run(pictures, tmp_path / "killed", pids).wait(300) == 0
    assert kills
    assert same_output(tmp_path)
