"""A named file of the user's stays, though it has the right suffix; one of ours is replaced."""

import json
from pathlib import Path

import pytest

from diglot.cli.main import USER_ERROR
from tests.cli_runner import run_diglot
from tests.data.formats.foreign import save_image
from tests.test_foreign_outputs import FILES, command_of, world

__all__ = ["world"]  # the fixture

SUFFIXES = {"--json": ".json", "--details": ".json", "--rejected": ".txt", "words --out": ".tsv"}
SUFFIXES |= {"--map": ".png", "--curve": ".png", "--plot": ".png", "--out": ".html"}


@pytest.mark.parametrize("name", sorted(FILES.keys() - {"evaluate --into"}))
def test_a_file_of_the_right_kind_may_be_the_users_all_the_same(
    world: Path, capsys, name: str
) -> None:
    suffix = SUFFIXES.get(name) or SUFFIXES[name.rpartition(" ")[2]]
    mine = world / f"mine{suffix}"
    mine.write_text("my diary")
    command = command_of(name, FILES[name], world, mine)
    assert run_diglot(*command) == USER_ERROR
    assert "not of this command, as far as is known" in " ".join(capsys.readouterr().err.split())
    assert mine.read_text() == "my diary"


def test_what_diglot_wrote_or_may_overwrite_is_replaced(world: Path, tmp_path: Path) -> None:
    words, mine = tmp_path / "words.tsv", tmp_path / "mine.tsv"
    mine.write_text("my diary")
    assert run_diglot("words", world / "data", "--out", words) == 0
    assert run_diglot("words", world / "data", "--out", words) == 0
    assert run_diglot("words", world / "data", "--out", mine, "--overwrite") == 0
    assert mine.read_text() == words.read_text()


def test_a_page_that_nobody_named_replaces_none_of_the_users(tmp_path: Path, capsys) -> None:
    save_image(tmp_path / "dog.jpg")
    record = {"image": str(tmp_path / "dog.jpg"), "caption": "a dog"}
    (tmp_path / "mine.jsonl").write_text(json.dumps(record) + "\n")
    (tmp_path / "mine.html").write_text("my page")
    assert run_diglot("view", tmp_path / "mine.jsonl") == USER_ERROR
    assert (tmp_path / "mine.html").read_text() == "my page"
