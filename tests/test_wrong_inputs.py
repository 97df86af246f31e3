"""Every input of every verb, wrong in each way that a path can be: one refusal, at once.

The commands are those of the verbs' table and a few more; that they give every input is read off
the command line itself, so that a new verb or a new input is tried too.
"""

import ctypes
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from diglot.cli.main import USER_ERROR
from tests.cli_runner import run_diglot
from tests.test_foreign_outputs import INPUTS, parsers
from tests.verb_table import CASES, VerbCase, command_words, save_verb_world

KINDS = [
    *("missing", "no_records", "unreadable"),
    *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("file.dat", "thesis", "loop")),
]
MOST_SECONDS = 4.0  # of the CPU: a refusal comes before any work
# Commands with inputs that those of the table leave out.
MORE = [
    "label W/data --labeller regions --out O/labels --like [W/recipe.yaml]",
    "check W/data --recipe W/recipe.yaml",
    "train --config W/recipe.yaml --out O/run --data W/data",
    "train --config W/recipe.yaml --out O/run --start_from W/run/model",
    "train --config W/recipe.yaml --out O/run --labels W/run",
    "view W/data --out O/page.html --labels W/run",
    "view W/data --out O/page.html --tokens W/recipe.yaml",
    "export --check W/run",
    "export W/model --to llava --out O/stock --check --images W/val/0.jpg",
    "words W/data --out O/words.tsv --not_objects W/recipe.yaml",
    "words W/data --out O/words.tsv --common W/recipe.yaml",
    "scenes O/scenes --count 2 --pictures W/toys",
    "scenes O/scenes --count 2 --kind words --fonts W/toys",
    "select ocr-pairs O/pairs --count 2 --fonts W/toys",
    "compare --config W/compare.yaml --out O/study --data W/data",
]


@dataclass(frozen=True)
class Tried:
    """The `number`th input of a command."""

    case: VerbCase
    number: int
    name: str  # "measure data" of an option, "measure" of a place


def inputs_of(case: VerbCase) -> Iterator[Tried]:
    """The inputs of a command: each is a word that begins with the world."""
    words, number = case.words.split(), 0
    for before, word in pairwise(words):
        if is_input(word, "W"):
            option = before[2:] if before.startswith("--") else ""
            yield Tried(case, number, f"{case.name} {option}".strip())
            number += 1


def is_input(word: str, world: str) -> bool:
    """Does it name something of the world: W/data, [W/recipe.yaml]?"""
    return word.removeprefix("[").startswith(f"{world}/")


def list_tried() -> list[Tried]:
    """Every input of every verb once, of the first command that gives it."""
    more = [VerbCase(words, quick=True) for words in MORE]
    first: dict[tuple[str, int], Tried] = {}
    for tried in (t for case in (*CASES, *more) for t in inputs_of(case)):
        place = tried.number if tried.name == tried.case.name else 0
        first.setdefault((tried.name, place), tried)
    return list(first.values())


TRIED = list_tried()


def test_every_input_is_tried() -> None:
    given = {tried.name for tried in TRIED}
    for verb, parser in parsers():
        for action in parser._actions:
            hint = str(getattr(action, "_typehint", action.type))
            if action.dest not in INPUTS or "Path" not in hint:
                continue
            option = f"{verb} {action.dest}" if action.option_strings else verb
            assert option in given, f"no command gives {option}"
            assert "paths.In" in hint, f"{option}: that it is there is known at the start"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The verbs' world, and beside it paths that are wrong in each way."""
    root = save_verb_world(tmp_path_factory.mktemp("wrong"))
    bad = root / "bad"
    for folder in ("no_records", "thesis", "unreadable"):
        (bad / folder).mkdir(parents=True)
    for split in ("train", "test"):
        shard = next((root / "data").glob(f"{split}-*.parquet"))
        pq.write_table(pq.read_table(shard).slice(0, 0), bad / "no_records" / shard.name)
    (bad / "file.dat").write_bytes(b"\x00\xff\xfe\x00")
    (bad / "thesis/thesis.tex").write_text("mine")
    (bad / "unreadable").chmod(0)
    (bad / "loop").symlink_to(bad / "loop")
    yield root
    (bad / "unreadable").chmod(0o700)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "tried",
    [pytest.param(t, marks=() if t.case.quick else pytest.mark.slow, id=t.name) for t in TRIED],
)
def test_one_refusal(world: Path, tmp_path: Path, capsys, tried: Tried, kind: str) -> None:
    words = command_words(tried.case, world, tmp_path / "out")
    wrong = str(world / "bad" / kind)
    number = [n for n, word in enumerate(words) if is_input(word, str(world))][tried.number]
    words[number] = f"[{wrong}]" if words[number].startswith("[") else wrong
    began = cpu_seconds()
    with without_rights() as dropped:
        if kind == "unreadable" and not dropped:
            pytest.skip("this user may read everything")
        status = run_diglot(*words)
    seconds = cpu_seconds() - began
    shown = capsys.readouterr().err
    assert status == USER_ERROR, shown
    assert "Traceback" not in shown
    error = " ".join(shown[shown.index("error: ") :].split())
    assert wrong in error, error
    assert len(error.replace(wrong, "")) > len("error: : no"), error
    assert seconds < MOST_SECONDS, error
    shutil.rmtree(tmp_path / "out", ignore_errors=True)


def cpu_seconds() -> float:
    """Of this process and of those that it started."""
    return sum(os.times()[:4])


@contextmanager
def without_rights() -> Iterator[bool]:
    """Give up root's right to read what may not be read; whether there is no such right then."""
    if os.geteuid():
        yield True
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # the calling thread's, version 3
    sets = (ctypes.c_uint32 * 6)()
    if not hasattr(libc, "capset") or libc.capget(header, sets):
        yield False
        return
    before = sets[0]
    sets[0] = before & ~0b110  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH, in the effective set
    done = libc.capset(header, sets) == 0
    yield done
    sets[0] = before
    libc.capset(header, sets)
