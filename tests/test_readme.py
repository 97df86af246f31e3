"""README's commands and the recipes': all parse as printed, README's quick ones run in order."""

import functools
import importlib
import re
import shlex
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from diglot.cli import main as cli
from diglot.embedded.photos import photo_files
from tests.cli_runner import run_diglot
from tests.test_foreign_outputs import INPUTS

README = Path(__file__).parents[1] / "README.md"
RECIPES = Path(__file__).parents[1] / "src" / "diglot" / "recipes"
# What a command at its printed size would take minutes for; the last of equal options counts.
TINY = {
    "scenes": ["--count", "8"],
    "train": ["--max_samples", "8"],
    "select scene-pairs": ["--count", "6"],
    "select ocr-pairs": ["--count", "6"],
    "select view": ["--count", "1"],
}
# Hours at any size, a user's own files, or nothing that README makes.
NOT_RUN = (
    "compare",
    "select a-score",
    "select study",
    "select fit",
    "select plan",
    "CHECKPOINT",
    "--check",
    "--harness lmms",
    "photo.jpg",
)


def printed_commands() -> list[list[str]]:
    """The arguments of every `diglot` line of a code block, in order."""
    # those of a language too, or its end would be taken for a beginning
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", README.read_text(), re.DOTALL | re.MULTILINE)
    texts = [text.replace("\\\n", " ") for language, text in blocks if not language]
    lines = [line for text in texts for line in text.splitlines()]
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("diglot ")]


def recipe_commands() -> list[list[str]]:
    """Those that stand in the comments of recipes; their second lines are further in."""
    found = []
    for path in sorted(RECIPES.rglob("*.yaml")):
        text = re.sub(r"( \\)?\n#       ", " ", path.read_text())
        lines = re.findall(r"^#   (diglot .*)$", text, re.MULTILINE)
        found += [part for line in lines for part in line.split(" && ")]
    return [shlex.split(part)[1:] for part in found]


COMMANDS = printed_commands()


@pytest.mark.parametrize("args", COMMANDS + recipe_commands(), ids=" ".join)
def test_a_printed_command_parses(
    args: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for before, word in pairwise(args):  # what is read must be there
        if not word.startswith("-") and (before[2:] in INPUTS or not before.startswith("--")):
            (tmp_path / word).mkdir(parents=True, exist_ok=True)
    module = importlib.import_module(f"diglot.cli.{args[0]}")
    calls: list[dict[str, Any]] = []
    verb = functools.wraps(getattr(module, args[0]))(lambda **given: calls.append(given))
    monkeypatch.setattr(module, args[0], verb)
    cli.call_verb(args[0], args[1:])
    assert len(calls) == 1


@pytest.mark.slow
@pytest.mark.embedded
def test_printed_commands_run_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for path in photo_files("samples")[:3]:
        shutil.copy(path, tmp_path / "photos")
    for args in COMMANDS:
        line = " ".join(args)
        if any(word in line for word in NOT_RUN):
            continue
        tiny = next((more for start, more in TINY.items() if line.startswith(start)), [])
        assert run_diglot(*args, *tiny) == 0, f"diglot {line}"
    assert (tmp_path / "runs/sea/model").is_dir()
