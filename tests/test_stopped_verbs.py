"""Every quick verb under Ctrl-C and SIGTERM, on a full disk, beside itself, and in odd folders.

What ends is one message; the same command then ends with the files of an unbroken run.
"""

import ctypes
import multiprocessing
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from diglot.cli.main import USER_ERROR
from diglot.cli.stopping import INTERRUPTED, TERMINATED
from tests.cli_runner import run_diglot
from tests.test_damaged_verbs import written_files
from tests.test_killed_verbs import WITH_TIMES, finish, left_overs
from tests.verb_table import CASES, VerbCase, command_words, save_verb_world

pytestmark = pytest.mark.slow
QUICK = [case for case in CASES if case.quick]
each_verb = pytest.mark.parametrize("case", QUICK, ids=lambda case: case.name)
LONGEST_S = 900
NEW_MOUNTS, PRIVATE, RECURSIVE = 0x20000, 1 << 18, 1 << 14  # of Linux


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_verb_world(tmp_path_factory.mktemp("stopped"))


def start(
    words: list[str], log: Path, before: Callable[[], None], after: Callable[[], None]
) -> multiprocessing.Process:
    """The command in a process of its own, which finds all libraries loaded."""

    def work() -> None:
        with open(log, "w") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
            sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
            before()
            status = run_diglot(*words)
            after()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    return process  # type: ignore[return-value]


def do_nothing() -> None:
    pass


def whole_run(words: list[str], out: Path, log: Path) -> tuple[float, dict[str, bytes]]:
    """Seconds that the command takes, and what it writes; the folder is empty again then."""
    out.mkdir()
    assert run_diglot(*words) == 0  # loads what the verb needs, for all that follow
    empty_folder(out)
    took_s, expected = finish(words, log), written_files(out)
    empty_folder(out)
    return took_s, expected


def empty_folder(out: Path) -> None:
    shutil.rmtree(out)
    out.mkdir()


def assert_one_message(log: Path) -> None:
    said = log.read_text()
    assert "Traceback" not in said, said[-2000:]
    assert said.count("error: ") <= 1, said[-2000:]


def assert_ends_whole(words: list[str], out: Path, log: Path, expected: dict[str, bytes]) -> None:
    finish(words, log)
    found = written_files(out)
    names = {**expected, **found}
    assert not [n for n in names if found.get(n) != expected.get(n) and n not in WITH_TIMES]
    assert not left_overs(out)


@each_verb
def test_ctrl_c_and_sigterm(world: Path, tmp_path: Path, case: VerbCase) -> None:
    out, log, rng = tmp_path / "out", tmp_path / "log.txt", random.Random(case.words)
    words = command_words(case, world, out)
    took_s, expected = whole_run(words, out, log)

    def listen() -> None:  # a shell's background jobs ignore it
        signal.signal(signal.SIGINT, signal.default_int_handler)

    for number in (signal.SIGINT, signal.SIGTERM):
        process = start(words, log, listen, do_nothing)
        process.join(rng.uniform(0.1, took_s))
        if process.is_alive():
            os.kill(process.pid or 0, number)
        process.join(LONGEST_S)
        assert process.exitcode in (0, INTERRUPTED, TERMINATED), log.read_text()[-2000:]
        assert_one_message(log)
        assert_ends_whole(words, out, log, expected)
        empty_folder(out)


def mount_small_disk(folder: Path, size_kb: int) -> None:
    """For this process alone."""
    libc = ctypes.CDLL(None, use_errno=True)
    where, options = os.fsencode(folder), f"size={size_kb}k".encode()
    assert libc.unshare(NEW_MOUNTS) == 0
    assert libc.mount(b"none", b"/", None, RECURSIVE | PRIVATE, None) == 0
    assert libc.mount(b"tmpfs", where, b"tmpfs", 0, options) == 0


@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="mounts a small disk, as root"
)
@each_verb
def test_a_full_disk(world: Path, tmp_path: Path, case: VerbCase) -> None:
    out, log, copy = tmp_path / "out", tmp_path / "log.txt", tmp_path / "copy"
    words = command_words(case, world, out)
    _, expected = whole_run(words, out, log)
    size_kb = sum(map(len, expected.values())) >> 10
    for share in (0.1, 0.6):
        disk_kb = max(4, int(size_kb * share))
        process = start(
            words,
            log,
            lambda kb=disk_kb: mount_small_disk(out, kb),
            lambda: shutil.copytree(out, copy) and None,
        )
        process.join(LONGEST_S)
        assert process.exitcode in (0, USER_ERROR), log.read_text()[-2000:]
        assert_one_message(log)
        shutil.rmtree(out)
        copy.rename(out)
        assert_ends_whole(words, out, log, expected)
        empty_folder(out)


@each_verb
def test_the_same_command_beside_itself(world: Path, tmp_path: Path, case: VerbCase) -> None:
    out, logs = tmp_path / "out", [tmp_path / "log_1.txt", tmp_path / "log_2.txt"]
    words = command_words(case, world, out)
    took_s, expected = whole_run(words, out, logs[0])
    both = [start(words, logs[0], do_nothing, do_nothing)]
    time.sleep(random.Random(case.words).uniform(0, took_s / 2))
    both.append(start(words, logs[1], do_nothing, do_nothing))
    for process, log in zip(both, logs, strict=True):
        process.join(LONGEST_S)
        assert process.exitcode in (0, USER_ERROR), log.read_text()[-2000:]
        assert_one_message(log)
    assert 0 in [process.exitcode for process in both]
    assert_ends_whole(words, out, logs[0], expected)


@each_verb
def test_a_folder_named_like_markup(world: Path, tmp_path: Path, case: VerbCase) -> None:
    out, log = tmp_path / "r[/b] :dog:", tmp_path / "log.txt"
    words = command_words(case, world, out)
    out.mkdir(parents=True)
    assert finish(words, log) > 0
    assert_one_message(log)
