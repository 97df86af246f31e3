"""`diglot train` in a process of its own that is stopped: one message, and it resumes.

Stopped by Ctrl-C, SIGTERM, a full disk, and a data-loader worker that is killed.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.test_train import RECIPE
from tests.cli_runner import run_diglot
from tests.tiny_folders import save_world
from tests.train.outcome import figures, weights

pytestmark = pytest.mark.slow
DEADLINE_S = 500
LONG = ("--epochs=12", "--micro_batch=2")  # 60 steps


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    world = save_world(tmp_path_factory.mktemp("world"))
    (world / "recipe.yaml").write_text(RECIPE.format(world=world))
    return world


@pytest.fixture(scope="module")
def undisturbed(world: Path) -> Path:
    assert run_diglot(*words(world, world / "whole")) == 0
    return world / "whole"


def words(world: Path, out: Path, *more: str) -> list[str]:
    return ["train", f"--config={world}/recipe.yaml", f"--out={out}", *LONG, *more]


def command(world: Path, out: Path, *more: str) -> list[str]:
    # -W: a resource tracker may warn of what a killed worker left behind
    return [sys.executable, "-W", "ignore", "-m", "diglot", *words(world, out, *more)]


def started(args: list[str], out: Path, lines: int) -> subprocess.Popen[str]:
    """The process, once it has recorded so many steps."""
    process = subprocess.Popen(args, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    deadline, path = time.monotonic() + DEADLINE_S, out / "metrics.jsonl"
    while not path.exists() or len(path.read_bytes().splitlines()) < lines:
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    return process


def ended(process: subprocess.Popen[str]) -> str:
    """What it wrote to stderr."""
    return process.communicate(timeout=DEADLINE_S)[1]


def assert_same(out: Path, undisturbed: Path) -> None:
    assert figures(out) == figures(undisturbed)
    ours, theirs = weights(out), weights(undisturbed)
    assert all(ours[name].equal(theirs[name]) for name in theirs)


def workers_of(process: subprocess.Popen[str]) -> Iterator[int]:
    """Ids of the children that run spawned work, not those that track resources."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            spawned = b"spawn_main" in (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if parent == process.pid and spawned:
            yield int(folder.name)


def test_spawned_workers_change_no_figure(world, tmp_path, undisturbed):
    args = command(world, tmp_path / "run", "--workers", "2", "--worker_start", "spawn")
    done = subprocess.run(args, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert_same(tmp_path / "run", undisturbed)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds the worker in /proc")
def test_a_killed_worker_ends_in_one_message_and_the_run_resumes(world, tmp_path, undisturbed):
    out = tmp_path / "run"
    args = command(world, out, "--workers=2", "--worker_start=spawn")
    process = started(args, out, 2)
    os.kill(next(workers_of(process)), signal.SIGKILL)
    message = ended(process)
    assert process.returncode == 2, message
    assert "Traceback" not in message
    assert message.count("error:") == 1
    assert "workers: a data-loader worker was killed" in message
    assert "The same command resumes the run from its last saved state." in message
    assert run_diglot(*words(world, out)) == 0
    assert_same(out, undisturbed)


@pytest.mark.parametrize(
    ("number", "status", "workers"),
    [(signal.SIGINT, 130, 2), (signal.SIGTERM, 128 + signal.SIGTERM, 0)],
)
def test_a_stop_is_one_message_and_the_run_resumes(
    world, tmp_path, undisturbed, number, status, workers
):
    out = tmp_path / "run"
    process = started(command(world, out, f"--workers={workers}"), out, 2)
    process.send_signal(number)
    message = ended(process)
    assert process.returncode == status, message
    assert "Traceback" not in message
    assert "its state is saved" in " ".join(message.split())
    assert "The same command resumes." in message
    assert run_diglot(*words(world, out)) == 0
    assert_same(out, undisturbed)


def can_mount() -> bool:
    """Whether a small disk of one's own can be mounted, in a namespace of one's own."""
    if shutil.which("unshare") is None:
        return False
    mount = "mount -t tmpfs -o size=16k tmpfs /tmp"
    done = subprocess.run(["unshare", "-Urm", "sh", "-c", mount], capture_output=True, check=False)
    return done.returncode == 0


@pytest.mark.skipif(not can_mount(), reason="mounts a small disk without being root")
@pytest.mark.parametrize("size_kb", [12, 48])
def test_a_full_disk_is_one_message_and_what_is_kept_is_whole(world, tmp_path, size_kb):
    """At the first state, or a later one; a copy of what is there then resumes."""
    disk, copy = tmp_path / "disk", tmp_path / "copy"
    disk.mkdir()
    script = f'mount -t tmpfs -o size={size_kb}k tmpfs {disk} && {{ "$@"; end=$?; '
    script += f"cp -r {disk}/run {copy} || true; exit $end; }}"
    short = command(world, disk / "run", "--epochs=1")
    args = ["unshare", "-Urm", "sh", "-c", script, "sh", *short]
    done = subprocess.run(args, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    assert done.stderr.count("error:") == 1
    assert "No space left on device" in done.stderr
    assert "Make room; the same command resumes." in done.stderr
    assert run_diglot(*words(world, copy, "--epochs=1")) == 0
