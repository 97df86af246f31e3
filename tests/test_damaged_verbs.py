"""Any one file that any verb wrote, damaged: the same command mends it, or refuses and names it.

Without `slow` a seeded sample: two files of each quick command, damaged in one way each.
"""

import logging
import os
import random
import re
import shutil
from collections.abc import Mapping
from fnmatch import fnmatch
from hashlib import sha256
from pathlib import Path

import pytest

from diglot.cli.main import USER_ERROR
from tests.cli_runner import run_diglot
from tests.damage import WAYS
from tests.verb_table import CASES, VerbCase, command_words, save_verb_world

# What differs from run to run: the time of day, durations and rates, and digests that cover them.
TIMES = re.compile(
    rb"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(\+00:00|Z)?"
    rb'|"[a-z_/]*(seconds|per_second|_s)[a-z_]*": [-\d.e]+'
    rb'|"seconds": \{[^}]*\}'
    rb'|"revision": "[0-9a-f]{7,}(-dirty)?"'  # of diglot, which is worked on while tests run
    rb'|(\d+,\s*)?"[0-9a-f]{64}"'
    rb'|</bdi></th><td class="right">\d+\.\d</td><td><bdi>'  # a page's seconds of each stage
    rb"|<strong>\d+\.\d</strong></td><td></td></tr>"  # and of all
)
GONE, LARGE = "gone", 8_000_000
ONLY = os.environ.get("DIGLOT_DAMAGED", "*")  # a pattern of files: several processes share them
TIMED = ("tensorboard", "log.txt")
# Caches that are not read again once what came of them is kept; each is checked when it is read.
CACHES = ("features", "answers", "benchmark", "state")
OWNERS = ("README.md", "scores.csv")  # a card, and a table to add to, are their owner's to edit


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_verb_world(tmp_path_factory.mktemp("verbs"))


def written_files(out: Path, *, hidden: bool = False) -> dict[str, bytes]:
    """What is in the folder by path, without times; hidden files and folders only if asked."""
    return {
        name: read_content(path)
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.suffix != ".lock" and path.name not in OWNERS
        if not set(parts := path.relative_to(out).parts) & set(TIMED)
        if hidden or not any(part.startswith(".") for part in parts)
        if (name := "/".join(parts))
    }


def read_content(path: Path) -> bytes:
    """The file without times; of a large one, which is weights, its digest: a search takes long."""
    content = path.read_bytes()
    return sha256(content).digest() if len(content) > LARGE else TIMES.sub(b"", content)


def list_damage(out: Path, case: VerbCase, *, every: bool) -> list[tuple[str, str]]:
    """(file, way) of all that is tried."""
    names = [name for name in written_files(out, hidden=True) if fnmatch(name, ONLY)]
    if every:
        return [(name, way) for name in names for way in (*WAYS, GONE)]
    rng = random.Random(case.words)
    chosen = rng.sample(names, min(2, len(names)))
    return [(name, rng.choice(list(WAYS))) for name in chosen]


def find_problem(
    case: VerbCase,
    world: Path,
    out: Path,
    damaged: str,
    whole: Mapping[str, bytes],
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> str:
    """What is wrong with the answer to the damaged file; "" where it was mended or named."""
    capsys.readouterr()
    caplog.clear()
    try:
        status = run_diglot(*command_words(case, world, out))
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    shown = "".join(capsys.readouterr().err.split())
    if status:
        named = is_named(damaged, out, shown)
        return "" if named and status in (1, USER_ERROR) else f"status {status}: {shown[-300:]}"
    found = written_files(out)
    other = [name for name in {**whole, **found} if found.get(name) != whole.get(name)]
    warnings = (record for record in caplog.records if record.levelno >= logging.WARNING)
    warned = any(Path(damaged).name in record.getMessage() for record in warnings)
    unread = other == [damaged] and bool(set(Path(damaged).parts) & set(CACHES))
    return f"silently other: {', '.join(other)}" if other and not (warned or unread) else ""


def is_named(damaged: str, out: Path, shown: str) -> bool:
    """Whether a refusal names the file or, where it will not write there at all, its folder."""
    folders = [above for above in (out / damaged).parents if above.is_relative_to(out)][:-1]
    whole = any(f"{folder}:thefolderholdsfiles" in shown for folder in folders)
    return Path(damaged).name in shown or str((out / damaged).parent) in shown or whole


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "case",
    [pytest.param(c, marks=[] if c.quick else pytest.mark.slow, id=c.name) for c in CASES],
)
def test_a_damaged_file_is_mended_or_named(
    world: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    case: VerbCase,
    every: bool,
) -> None:
    out, whole, wrong = tmp_path / "out", tmp_path / "whole", list[str]()
    out.mkdir()
    assert run_diglot(*command_words(case, world, out)) == 0
    shutil.copytree(out, whole)
    expected = written_files(whole)
    for name, way in list_damage(whole, case, every=every):
        content = (whole / name).read_bytes()
        if way != GONE and WAYS[way](content) == content:
            continue
        shutil.rmtree(out)
        shutil.copytree(whole, out)
        (out / name).unlink()
        if way != GONE:
            (out / name).write_bytes(WAYS[way](content))
        if problem := find_problem(case, world, out, name, expected, capsys, caplog):
            wrong.append(f"{name} {way}: {problem}")
    assert not wrong, "\n".join(wrong)
