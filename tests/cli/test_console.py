"""Names with brackets and colons are printed as they are, by every verb."""

import re
from pathlib import Path

import pytest
from rich.table import Table

import diglot.cli
from diglot.cli.console import open_console, print_warning

NAME = "r[/b] [red]x[/] :dog:"


def test_the_verbs_print_through_one_console() -> None:
    files = Path(diglot.cli.__file__).parent.glob("*.py")
    others = [f.name for f in files if re.search(r"(?<![\w.])Console\(", f.read_text())]
    assert others == ["console.py"]


def test_names_like_markup_stay_text_in_lines_and_tables(
    capsys: pytest.CaptureFixture[str],
) -> None:
    console = open_console(width=80)
    table = Table(NAME, title=NAME)
    table.add_row(NAME)
    console.print(table)
    print_warning(console, NAME)
    console.print(NAME)
    shown = capsys.readouterr().out
    assert shown.count(NAME) == 5
    assert f"warning: {NAME}" in shown
