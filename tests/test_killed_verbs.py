"""Every verb killed at random moments: the same command then ends with an unbroken run's files.

DIGLOT_KILLS is how many kills each command gets, in chains: killed, started again where it was,
killed again, up to CHAIN times, and only then run to its end and compared. So a kill costs half a
run and not one and a half, and what is resumed is killed too. Times are left out of the
comparison, as in tests/test_damaged_verbs.py, and so are TensorBoard's files and logs.
"""

import multiprocessing
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest

from diglot.cli.main import USER_ERROR
from tests.cli_runner import run_diglot
from tests.test_damaged_verbs import written_files
from tests.verb_table import CASES, VerbCase, command_words, save_verb_world

pytestmark = pytest.mark.slow
KILLS = int(os.environ.get("DIGLOT_KILLS", "2"))
CHAIN = 20
AGAIN_S = 10  # a command that is started again is killed by then: long ones get many kills too
LONGEST_S = 900
# Seconds of training stand in them among the scores, which are in results.json too.
WITH_TIMES = (
    *("study/results.csv", "study/report.html", "demo/report.html", "demo/report.json"),
    *("study/recipe/results.csv", "study/recipe/report.html"),
)
WHOLE = "the folder holds files that are not of this command"  # another format's, finished


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_verb_world(tmp_path_factory.mktemp("killed"))


def start(words: list[str], log: Path) -> multiprocessing.Process:
    """The command in a process of its own, which finds all libraries loaded."""
    process = multiprocessing.get_context("fork").Process(target=_run_logged, args=(words, log))
    process.start()
    return process  # type: ignore[return-value]


def _run_logged(words: list[str], log: Path) -> None:
    with open(log, "w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
        status = run_diglot(*words)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def kill_at(words: list[str], log: Path, moment_s: float) -> bool:
    """Whether the command was still at work at the moment it was killed."""
    process = start(words, log)
    process.join(moment_s)
    process.kill()
    process.join()
    return process.exitcode == -signal.SIGKILL


def kill_in_turn(
    words: list[str], log: Path, took_s: float, most: int, rng: random.Random
) -> list[float]:
    """Moments of a chain of kills: anywhere in a run, then soon after each new start."""
    moments, latest_s = list[float](), took_s
    while len(moments) < most and kill_at(words, log, moment_s := rng.uniform(0, latest_s)):
        moments.append(round(moment_s, 2))
        latest_s = min(took_s, AGAIN_S)
    return moments


def finish(words: list[str], log: Path) -> float:
    """Run the command to its end; seconds it took."""
    began, process = time.perf_counter(), start(words, log)
    process.join(LONGEST_S)
    assert not process.is_alive(), f"hangs:\n{log.read_text()[-2000:]}"
    said = log.read_text()
    other = words[0] == "convert" and "--to" in words
    is_whole = other and process.exitcode == USER_ERROR and WHOLE in " ".join(said.split())
    assert process.exitcode == 0 or is_whole, said[-2000:]
    return time.perf_counter() - began


def left_overs(folder: Path) -> list[Path]:
    """What a killed writer leaves beside its output."""
    return [p for p in folder.rglob(".*") if p.suffix in (".tmp", ".old", ".part")]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_killed_command_ends_as_an_unbroken_one(
    world: Path, tmp_path: Path, case: VerbCase
) -> None:
    out, log, rng = tmp_path / "out", tmp_path / "log.txt", random.Random(case.words)
    words = command_words(case, world, out)
    out.mkdir()
    assert run_diglot(*words) == 0  # loads what the verb needs, for all that follow
    shutil.rmtree(out)
    out.mkdir()
    took_s, expected = finish(words, log), written_files(out)
    killed = 0
    while killed < KILLS:
        shutil.rmtree(out)
        out.mkdir()
        moments = kill_in_turn(words, log, took_s, min(CHAIN, KILLS - killed), rng)
        killed += len(moments)
        there = sorted(written_files(out, hidden=True))
        finish(words, log)
        found = written_files(out)
        names = {**expected, **found}
        other = [n for n in names if found.get(n) != expected.get(n) and n not in WITH_TIMES]
        case_was = f"kill {killed} after {moments} of {took_s:.2f} s, then there: {there}"
        assert not other, f"{other}: {case_was}"
        assert not left_overs(out) + left_overs(world), case_was
