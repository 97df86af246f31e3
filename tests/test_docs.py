"""The documents agree with the code."""

import re
from pathlib import Path

import pytest

from diglot.cli.main import VERBS
from tests.test_imports import INNER, MAY_IMPORT

ROOT = Path(__file__).parents[1]
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
