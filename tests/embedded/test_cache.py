import json
import stat
from pathlib import Path

import pytest

from diglot.embedded import cache as cache_module
from diglot.embedded.cache import asset_folder, cache_root, is_cached, write_marker
from tests.toy_index import ToyIndex


def test_root_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("DIGLOT_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_root() == tmp_path / ".cache/diglot"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_root() == tmp_path / "xdg/diglot"
    monkeypatch.setenv("DIGLOT_CACHE", str(tmp_path / "own"))
    assert cache_root() == tmp_path / "own"


def finished(toy: ToyIndex) -> Path:
    folder = asset_folder(toy.asset)
    (folder / "deep").mkdir(parents=True)
    (folder / "deep/a.bin").write_bytes(b"123")
    write_marker(toy.asset, folder)
    return folder


def test_marker_says_source_and_licence(toy: ToyIndex) -> None:
    marker = json.loads((finished(toy) / "asset.json").read_text())
    assert marker["source"] == "pypi: toy==1.0"
    assert marker["licence"] == "MIT"
    assert marker["file_bytes"] == {"deep/a.bin": 3}


def test_a_cut_or_deleted_file_is_not_cached(toy: ToyIndex) -> None:
    folder = finished(toy)
    assert is_cached(toy.asset)
    (folder / "deep/a.bin").write_bytes(b"12")
    assert not is_cached(toy.asset)
    (folder / "deep/a.bin").unlink()
    assert not is_cached(toy.asset)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"sha256": 1, "file_bytes": 2}'])
def test_a_damaged_marker_is_not_cached(toy: ToyIndex, text: str) -> None:
    (finished(toy) / "asset.json").write_text(text)
    assert not is_cached(toy.asset)


def test_another_pin_is_another_asset(toy: ToyIndex) -> None:
    finished(toy)
    assert not is_cached(toy.asset_with(sha256="0" * 64))
    assert not is_cached(toy.asset_with(version="1.1"))
    assert not is_cached(toy.asset_with(revision=2))


def test_published_files_are_as_readable_as_the_umask_says(toy: ToyIndex, cache: Path) -> None:
    work = cache / "embedded/work"
    work.mkdir(parents=True)
    (work / "private.bin").touch(mode=0o600)
    write_marker(toy.asset, work)
    want = stat.S_IMODE((work / "asset.json").stat().st_mode)
    cache_module.publish_asset(work, toy.asset)
    published = asset_folder(toy.asset) / "private.bin"
    assert stat.S_IMODE(published.stat().st_mode) == want
