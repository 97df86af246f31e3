import json
import re
from pathlib import Path

import pytest

from diglot.cli import fetch_run
from diglot.embedded.catalog import ASSETS
from tests.cli_runner import refusal_of, run_diglot


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DIGLOT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "100")
    return tmp_path / "cache"


def run(*words: str) -> None:
    assert run_diglot("fetch", *words) == 0


def test_list_shows_source_and_licence_and_fetches_nothing(
    empty_cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("--list")
    shown = capsys.readouterr().out
    for asset in ASSETS:
        assert asset.name in shown
        assert asset.source in shown
    assert "Apache-2.0" in shown
    assert f"0 of {len(ASSETS)} in the cache" in shown
    assert not empty_cache.exists()


def test_fetches_the_named_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(
        fetch_run, "fetch_assets", lambda assets: asked.extend(a.name for a in assets)
    )
    run("emoji", "photos")
    assert asked == ["emoji", "photos"]
    asked.clear()
    run()
    assert asked == [a.name for a in ASSETS]


def test_an_unknown_name_lists_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    error = refusal_of(capsys, "fetch", "dog")
    assert re.search(r"no embedded asset 'dog'.*smollm2", error)


def test_writes_the_list_as_json(tmp_path: Path) -> None:
    run("emoji", "--list", "--json", str(tmp_path / "list.json"))
    (row,) = json.loads((tmp_path / "list.json").read_text())
    assert row["source"] == "npm fluentui-emoji@1.3.0"
    assert row["folder"] is None
    assert [p.name for p in tmp_path.iterdir() if p.name[0] != "."] == ["list.json"]
