"""The documents agree with the code."""

import re
from pathlib import Path

import pytest

from diglot.cli.main import VERBS
from tests.test_imports import INNER, MAY_IMPORT

ROOT = Path(__file__).parents[1]
# What makes a module a part.
MARKS = (r"^def build\(", r"^CONTAINER = ", r"^CONTAINER: ")
BEGIN, END = "<!-- imports: begin -->\n", "<!-- imports: end -->"


def import_table() -> str:
    """Who may import whom, as a Markdown table, in the order of tests/test_imports.py."""
    rows = ["| folder | may import |", "|---|---|"]
    for folder, allowed in MAY_IMPORT.items():
        if folder in ("recipes", "__main__"):  # no code, and one line
            continue
        names = "all of the above" if allowed >= INNER else ", ".join(sorted(allowed)) or "nothing"
        rows.append(f"| `{folder}` | {names} |")
    return "\n".join(rows) + "\n"


def test_the_table_of_imports_is_the_tested_one() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    written = text.partition(BEGIN)[2].partition(END)[0]
    assert written == import_table(), "put this between the marks:\n" + import_table()


@pytest.mark.parametrize("verb", VERBS)
def test_readme_lists_every_verb(verb: str) -> None:
    commands = (ROOT / "README.md").read_text().partition("## Commands")[2]
    assert re.search(rf"^\| `diglot {verb}\b", commands, re.MULTILINE)


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md"])
def test_paths_that_documents_name_exist(name: str) -> None:
    text = (ROOT / name).read_text()
    linked = re.findall(r"\]\(([^)#:]+)\)", text)
    named = re.findall(r"`((?:tests|examples|benchmarks|docs)/[\w/.]+)`", text)
    for path in [*linked, *(path for path in named if "NAME" not in path)]:
        assert (ROOT / path).exists(), f"{name} names {path}, which is not there"


def change_table() -> list[list[str]]:
    """The rows of ARCHITECTURE.md's "What a change touches", the verb's apart."""
    section = (ROOT / "ARCHITECTURE.md").read_text().partition("## What a change touches")[2]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| ")]
    return [row for row in rows if "NAME" in row[1] and "cli/" not in row[1]]


@pytest.mark.parametrize("row", change_table(), ids=lambda row: row[0])
def test_a_part_is_one_file_its_test_and_an_example(row: list[str]) -> None:
    """Every public file of the folder is a part, and the guide has a section with the example."""
    what, wrote, test, _, example = row
    folder = wrote.strip("`").removesuffix("/NAME.py")
    assert (ROOT / test.removeprefix("in ").strip("`")).exists()
    files = [p for p in (ROOT / "src/diglot" / folder).glob("*.py") if p.name[0] != "_"]
    assert files
    own = (ROOT / example.strip("`")).read_text("utf-8")
    for path in files:
        text = path.read_text("utf-8")
        assert any(re.search(mark, text, re.MULTILINE) for mark in MARKS), path
    assert any(re.search(mark, own, re.MULTILINE) for mark in MARKS)
    guide = (ROOT / "docs/guides/own-part.md").read_text("utf-8")
    section = guide.partition(f"\n## {what[0].upper()}{what[1:]}\n")[2].partition("\n## ")[0]
    included = f'--8<-- "{example.strip("`")}"'  # a formatter of Python would break it
    assert included in section, f"no section with {included}"
    assert Path(example.strip("`")).stem in read_tests(), "no test runs the example"


def read_tests() -> str:
    """All tests that may name an example."""
    files = [p for p in (ROOT / "tests").rglob("test_*.py") if p.name != "test_docs.py"]
    return "".join(path.read_text("utf-8") for path in files)


def test_every_kind_of_part_is_in_the_table() -> None:
    rows = change_table()
    assert len(rows) == 10
    examples = {path.name for path in (ROOT / "examples").glob("own_*.py")}
    assert examples == {Path(row[4].strip("`")).name for row in rows}
