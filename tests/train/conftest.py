"""A tiny world on disk, made once for all tests of training."""

from pathlib import Path

import pytest

from tests.tiny_folders import save_world


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`language`, `clip` and `data` under one folder."""
    return save_world(tmp_path_factory.mktemp("world"))
