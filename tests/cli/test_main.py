import errno
import logging
import subprocess
import sys

import numpy as np
import pytest
import torch

from diglot import __version__
from diglot.cli import main as cli
from diglot.core.errors import DataError
from tests.cli_runner import run_diglot


@pytest.fixture(autouse=True)
def plain_logging():
    """What the verbs set up for a process of their own is taken back."""
    root, ours = logging.getLogger(), logging.getLogger("diglot")
    handlers, level = list(root.handlers), ours.level
    yield
    root.handlers[:] = handlers
    ours.setLevel(level)


@pytest.fixture
def verb(monkeypatch):
    """Make `fetch` do something else."""

    def replace(function):
        class Module:
            fetch = staticmethod(function)

        monkeypatch.setattr(cli.importlib, "import_module", lambda name: Module)

    return replace


def test_without_a_verb_the_overview_and_status_2(capsys):
    assert run_diglot() == 2
    assert capsys.readouterr().out.startswith("diglot: align")


def test_help_lists_every_verb_and_each_has_its_file(capsys):
    assert run_diglot("--help") == 0
    shown = capsys.readouterr().out
    for name in cli.VERBS:
        assert f"\n  {name}" in shown
        assert callable(getattr(cli.importlib.import_module(f"diglot.cli.{name}"), name))


def test_version(capsys):
    assert run_diglot("--version") == 0
    assert capsys.readouterr().out == f"diglot {__version__}\n"


@pytest.mark.parametrize(
    ("word", "message"), [("nosuch", "no verb 'nosuch'; see"), ("trian", "did you mean 'train'?")]
)
def test_an_unknown_verb(capsys, word, message):
    assert run_diglot(word) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("name", sorted(cli.VERBS))
def test_every_verb_has_help_with_an_example_on_its_own_line(capsys, name):
    assert run_diglot(name, "--help") == 0
    shown = capsys.readouterr().out
    assert f"\n    diglot {name}" in shown
    assert "Example" in shown


def test_examples_keep_their_line_breaks(capsys):
    run_diglot("train", "--help")
    shown = capsys.readouterr().out
    assert "--out runs/no_entity \\\n        --objective.entity_weight 0" in shown


def test_a_users_mistake_is_one_line_and_status_2(capsys, verb):
    def fetch(*, name: str = "a"):
        """Do."""
        raise DataError("box [1, 2] is [red]odd[/red]", where="sample 'x'", fix="Look. " * 30)

    verb(fetch)
    assert run_diglot("fetch") == 2
    complaint = capsys.readouterr().err
    assert complaint.startswith("error: sample 'x': box [1, 2] is [red]odd[/red]. Look.")
    assert complaint.count("\n") == 1


@pytest.mark.parametrize("args", [["--nmae=a"], ["--count=x"], ["stray"], ["--count"]])
def test_wrong_arguments_are_one_line_and_status_2(capsys, verb, args):
    def fetch(*, name: str = "a", count: int = 1):
        """Do."""

    verb(fetch)
    assert run_diglot("fetch", *args) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1
    assert args[0].lstrip("-").partition("=")[0] in printed.err
    assert not printed.out


def test_ctrl_c_says_how_to_resume(capsys, verb):
    def fetch():
        """Do."""
        raise KeyboardInterrupt

    verb(fetch)
    assert run_diglot("fetch") == 130
    assert "The same command resumes." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, "No space left on device: a/b"),
        (errno.EACCES, "Permission denied: a/b"),
        (errno.EFBIG, "File too large: a/b"),
        (errno.EIO, "Input/output error: a/b"),
        (errno.EMFILE, "Too many open files: a/b"),
    ],
)
def test_a_disk_that_is_full_or_closed(capsys, verb, number, message):
    import os

    def fetch():
        """Do."""
        raise OSError(number, os.strerror(number), "a/b")

    verb(fetch)
    assert run_diglot("fetch") == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("allocate", [lambda: np.zeros(2**55), lambda: torch.zeros(2**55)])
def test_without_memory_it_says_what_to_lower(capsys, verb, allocate):
    def fetch():
        """Do."""
        allocate()

    verb(fetch)
    assert run_diglot("fetch") == 2
    complaint = capsys.readouterr().err
    assert complaint.startswith("error: not enough memory (")
    assert "Lower what is held at once (micro_batch" in complaint


def test_our_own_mistakes_are_not_hidden(verb):
    def fetch():
        """Do."""
        raise KeyError("bug")

    verb(fetch)
    with pytest.raises(KeyError):
        run_diglot("fetch")


def test_as_a_module_in_a_process_of_its_own():
    done = subprocess.run(
        [sys.executable, "-m", "diglot", "nosuch"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == "error: no verb 'nosuch'; see `diglot --help`\n"
