"""Ray killed at random moments, its driver or an actor: the output is that of an unbroken run."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.synth.pipeline import toy_annotators as toy
from tests.synth.pipeline.test_run import run

pytest.importorskip("ray")
pytestmark = pytest.mark.slow

KILLS = 20
Kill = Callable[[subprocess.Popen, Path, random.Random], None]

RUN = """
import sys
from pathlib import Path
from tests.synth.pipeline import toy_annotators as toy
from tests.synth.pipeline.test_run import run
steps = dict(toy.QUICK_STEPS)
steps["boxes"] = {"annotator": {"name": toy.NAME, "seconds": 0.3, "pids": sys.argv[3]}}
run(Path(sys.argv[1]), Path(sys.argv[2]), steps=steps, engine="ray", workers=2)
"""


def start_run(pictures: Path, out: Path, pids: Path) -> subprocess.Popen:
    command = [sys.executable, "-c", RUN, str(pictures), str(out), str(pids)]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)


def read_pids(pids: Path) -> list[list[int]]:
    """Of every worker that was built: its process, and its actor's."""
    lines = pids.read_text().splitlines() if pids.exists() else []
    return [[int(word) for word in line.split()] for line in lines]


def wait_for_worker(process: subprocess.Popen, pids: Path, known: int) -> bool:
    """Whether a worker was built beyond those known; not where the run ended before."""
    while process.poll() is None:
        if len(read_pids(pids)) > known:
            return True
        time.sleep(0.05)
    return False


def kill_process(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def kill_worker_or_actor(run: subprocess.Popen, pids: Path, rng: random.Random) -> None:
    """One of the two workers built last, or its actor."""
    kill_process(rng.choice(rng.choice(read_pids(pids)[-2:])))


def kill_driver(run: subprocess.Popen, pids: Path, rng: random.Random) -> None:
    """The process that a user would kill; its actors die with it."""
    kill_process(run.pid)
    run.wait()


def finish_killed(pictures: Path, out: Path, kill: Kill, rng: random.Random, most: int) -> int:
    """A run that is killed up to `most` times and begun again until it is done; the kills."""
    kills, known, pids = 0, 0, out.with_suffix(".pids")
    process = start_run(pictures, out, pids)
    while True:
        if kills < most and wait_for_worker(process, pids, known):
            time.sleep(rng.uniform(0.0, 2.0))
            known = len(read_pids(pids))
            kill(process, pids, rng)
            kills += 1
        elif process.wait(600) == 0:
            return kills
        if process.poll() not in (None, 0):
            process = start_run(pictures, out, pids)


@pytest.mark.parametrize("kill", [kill_worker_or_actor, kill_driver])
def test_killed_at_20_random_moments(kill: Kill, tmp_path: Path) -> None:
    pictures, rng, kills = tmp_path / "pictures", random.Random(0), 0
    toy.write_pictures(pictures, 40)
    run(pictures, tmp_path / "whole", steps=toy.QUICK_STEPS)
    whole = toy.digest_output(tmp_path / "whole")
    while kills < KILLS:
        out = tmp_path / f"killed{kills}"
        kills += finish_killed(pictures, out, kill, rng, KILLS - kills)
        assert toy.digest_output(out) == whole, kills
        print(f"{kills} kills", flush=True)
