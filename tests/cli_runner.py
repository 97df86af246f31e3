"""The command line as tests use it: in this process, by the words a user would type."""

import pytest

from diglot.cli.main import USER_ERROR, main


def run_diglot(*words: object) -> int:
    """The exit status of `diglot WORDS`; what it prints is for capsys."""
    return main([str(word) for word in words])


def refusal_of(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """The one message by which `diglot WORDS` refuses, with its lines joined."""
    capsys.readouterr()
    assert run_diglot(*words) == USER_ERROR
    error = " ".join(capsys.readouterr().err.split())
    assert error.startswith("error")
    assert "Traceback" not in error
    return error
