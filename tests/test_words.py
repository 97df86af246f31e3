"""Names and texts of the source and of its tests use the field's words, not private ones."""

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

import diglot

ROOT = Path(diglot.__file__).parent
TESTS = Path(__file__).parent
TREES = (ROOT, TESTS, TESTS.with_name("examples"), TESTS.with_name("benchmarks"))

# Parts of identifiers, in any case: `_told`, `told_SK`, `ToldRow`.
WORDS = (
    "told|tell|tells|foretell|seen|laid|lay|deal|dealt|spare|settle|settled|say|hear|heard|meeting"
    "|meetings|meet|meets|verdict|verdicts|judge|judges|whisker|whiskers|tally|tallies|look|looks"
    "|spoil|spoiled|spoilt|carried"
)
IDENTIFIERS = re.compile(WORDS)
# In docstrings, comments and messages.
TEXTS = re.compile(
    r"\b(told|tells?|telling|foretells?|foretold|laid|dealt|settled?(?!\.json)|settles|verdicts?|whiskers?"
    r"|tally|tallies|spoil(s|ed|t)?|carried|hears?|heard|set aside|(go|goes|going|gone|went) on"
    r"|(no|a) say|none is no mistake|binds nothing|neither silence nor shouting|for people"
    r"|wears? their colours|as loud as|half characters|an width)\b"
    r"|^\W*(Px|D|E|The objective|The settings)\.\W*$",
    re.IGNORECASE,
)
# What a file without such a word matches nowhere: it need not be taken apart.
MAYBE = re.compile(
    rf"(?:(?<![A-Za-z])|(?<=[a-z0-9])(?=[A-Z]))(?i:{WORDS}|longest)(?![a-z])"
    r"|\W(Px|D|E|The objective|The settings)\.\W"
)


# In one room alone: streams of training take no turns, which conversations have.
IN_ROOMS = {"train": re.compile("turns?"), "models/language.py": re.compile("words?")}


def parts_of(name: str) -> list[str]:
    """`toldRow_SK` -> told, row, sk."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    return words.split("_")


def private_words(path: Path) -> list[str]:
    """Line and token of each private word in a file."""
    found, source = [], path.read_text(encoding="utf-8")
    if not MAYBE.search(source) and not TEXTS.search(" ".join(source.split())):
        return []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.NAME:
            parts = parts_of(token.string)
            if parts == ["longest"] or any(map(IDENTIFIERS.fullmatch, parts)):
                found.append(f"{token.start[0]}: {token.string}")
        elif token.type in (tokenize.STRING, tokenize.COMMENT):
            text = " ".join(token.string.split())
            found += [f"{token.start[0]}: {hit[0]!r}" for hit in TEXTS.finditer(text)]
    return found


@pytest.mark.parametrize("tree", TREES, ids=lambda tree: tree.name)
def test_no_private_word(tree: Path) -> None:
    own = Path(__file__)  # which lists the words
    paths = [path for path in sorted(tree.rglob("*.py")) if path != own]
    assert len(paths) > 5
    found = {path.relative_to(tree).as_posix(): private_words(path) for path in paths}
    assert not {path: words for path, words in found.items() if words}


@pytest.mark.parametrize("room", IN_ROOMS)
def test_no_private_word_of_a_room(room: str) -> None:
    path = ROOT / room
    for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            name = getattr(node, "name", None) or getattr(node, "id", None) or ""
            found = [part for part in parts_of(str(name)) if IN_ROOMS[room].fullmatch(part)]
            assert not found, f"{file.name}:{node.lineno}: {name}"


def test_no_two_classes_share_a_name() -> None:
    """One name, one meaning; only the `Config` of each part repeats."""
    found: dict[str, list[str]] = {}
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef) and node.name != "Config":
                found.setdefault(node.name, []).append(path.relative_to(ROOT).as_posix())
    assert not {name: paths for name, paths in found.items() if len(paths) > 1}


# Prose, recipes and pages; `code` is left out, for the changelog names what things were called.
PROSE = [
    *TESTS.parent.glob("*.md"),
    *TESTS.with_name("docs").rglob("*.md"),
    *ROOT.rglob("*.yaml"),
    *ROOT.rglob("*.j2"),
]


def test_no_private_word_in_prose() -> None:
    assert len(PROSE) > 50
    found = {}
    for path in PROSE:
        for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
            if hits := TEXTS.findall(re.sub("`[^`]*`", "", line)):
                found[f"{path.name}:{number}"] = hits
    assert not found
