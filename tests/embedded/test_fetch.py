import errno
import os
import subprocess
import sys
import textwrap
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest

from diglot.core.errors import ConfigError
from diglot.embedded import fetch as fetch_module
from diglot.embedded.cache import asset_folder, is_cached
from diglot.embedded.fetch import ensure_asset, fetch_asset, fetch_assets
from tests.toy_index import CONTENT, ToyIndex


def left_over(cache: Path) -> list[str]:
    """What a failed fetch left, less the lock."""
    folder = cache / "embedded"
    return [p.name for p in folder.iterdir() if p.suffix != ".lock"] if folder.exists() else []


def test_fetches_once_and_then_needs_no_client(
    toy: ToyIndex, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = ensure_asset(toy.asset)
    assert (folder / "weights.bin").read_bytes() == CONTENT
    assert left_over(cache) == ["toy-1.0-r1"]
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("a client was started"))
    assert ensure_asset(toy.asset) == folder


@pytest.mark.usefixtures("copied")
def test_progress_goes_to_stderr(toy: ToyIndex, capsys: pytest.CaptureFixture[str]) -> None:
    fetch_assets([toy.asset])
    out, err = capsys.readouterr()
    assert out == ""
    assert "toy: a toy" in err
    assert "1/1" in err


@pytest.mark.usefixtures("copied")
def test_a_wrong_hash_keeps_nothing(toy: ToyIndex, cache: Path) -> None:
    with pytest.raises(ConfigError, match=r"toy \(pypi: toy==1\.0\): downloaded files differ"):
        ensure_asset(toy.asset_with(sha256="0" * 64))
    assert left_over(cache) == []


def test_a_cut_download_keeps_nothing(
    toy: ToyIndex, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(_: Any, work: Path) -> Path:
        package = work / toy.wheel.name
        package.write_bytes(toy.wheel.read_bytes()[:60])
        return package

    monkeypatch.setattr(fetch_module.registry, "download_package", cut)
    with pytest.raises(ConfigError, match="damaged or cut"):
        ensure_asset(toy.asset)
    assert left_over(cache) == []


def test_too_little_room_stops_before_the_download(
    toy: ToyIndex, no_client: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(fetch_module.shutil, "disk_usage", lambda _: usage(free=3999))
    with pytest.raises(ConfigError, match=r"no room on the disk to fetch toy.*DIGLOT_CACHE"):
        ensure_asset(toy.asset)


@pytest.mark.usefixtures("copied")
@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("I/O error: No space left on device (os error 28)"),  # safetensors' way
    ],
)
def test_a_disk_that_fills_up_keeps_nothing(toy: ToyIndex, cache: Path, error: Exception) -> None:
    def convert(_: Path, finished: Path) -> None:
        (finished / "half").write_bytes(b"...")
        raise error

    with pytest.raises(ConfigError, match="no room on the disk"):
        ensure_asset(toy.asset_with(convert=convert))
    assert left_over(cache) == []
    assert (ensure_asset(toy.asset) / "weights.bin").exists()  # and the next try works


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_cache_that_may_not_be_written(toy: ToyIndex, cache: Path) -> None:
    cache.mkdir(mode=0o500)
    with pytest.raises(ConfigError, match="DIGLOT_CACHE"):
        ensure_asset(toy.asset)


def test_a_cache_that_is_a_file(toy: ToyIndex, cache: Path) -> None:
    cache.write_text("")
    with pytest.raises(ConfigError, match="cannot make toy in the cache"):
        ensure_asset(toy.asset)


@pytest.mark.usefixtures("copied")
def test_an_error_of_ours_is_not_disguised(toy: ToyIndex) -> None:
    def convert(*_: Path) -> None:
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        ensure_asset(toy.asset_with(convert=convert))


def test_a_missing_python_package_stops_before_the_download(toy: ToyIndex, no_client: None) -> None:
    with pytest.raises(ConfigError, match=r"no_such_module.*diglot\[demo\]"):
        ensure_asset(toy.asset_with(modules=("no_such_module",)))


@pytest.mark.usefixtures("copied")
def test_a_damaged_copy_is_fetched_again(toy: ToyIndex, cache: Path) -> None:
    weights = ensure_asset(toy.asset) / "weights.bin"
    weights.write_bytes(b"cut")
    assert (ensure_asset(toy.asset) / "weights.bin").read_bytes() == CONTENT
    assert left_over(cache) == ["toy-1.0-r1"]


@pytest.mark.usefixtures("copied")
def test_what_a_killed_process_left_is_swept(toy: ToyIndex, cache: Path) -> None:
    stale = cache / "embedded/.partial-toy-1.0-r1-dead"
    stale.mkdir(parents=True)
    (stale / "half").write_bytes(b"...")
    ensure_asset(toy.asset)
    assert left_over(cache) == ["toy-1.0-r1"]


@pytest.mark.usefixtures("copied")
def test_says_each_phase(toy: ToyIndex, said: list[str]) -> None:
    fetch_asset(toy.asset, report=lambda event: said.append(event.note))
    assert [s.split()[0] for s in said] == ["downloading", "checking", "converting"]


RACER = """
    import sys, time
    from dataclasses import replace
    from pathlib import Path
    from diglot.embedded.fetch import ensure_asset
    from diglot.embedded.asset import Asset
    def convert(members, finished):
        with open({log!r}, "a") as log:
            log.write("converted\\n")
        time.sleep(1)
        (members / "toy/weights.bin").rename(finished / "weights.bin")
    asset = Asset(name="toy", what="", use="", registry="pypi", package="toy", version="1.0",
        files=("toy/weights.bin",), sha256={sha!r}, licence="", download_bytes=1,
        cached_bytes=1, convert=convert)
    assert (ensure_asset(asset) / "weights.bin").read_bytes() == b"weights"
"""


def test_two_processes_at_once_do_the_work_once(toy: ToyIndex, tmp_path: Path) -> None:
    log = tmp_path / "log"
    script = tmp_path / "racer.py"
    script.write_text(textwrap.dedent(RACER.format(log=str(log), sha=toy.asset.sha256)))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    racers = [
        subprocess.Popen([sys.executable, script], env=environment, stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    printed = [r.communicate(timeout=60)[1].decode() for r in racers]
    assert [r.returncode for r in racers] == [0, 0, 0], printed
    assert log.read_text() == "converted\n"
    assert is_cached(toy.asset)
    assert sorted(p.name for p in asset_folder(toy.asset).iterdir()) == [
        "asset.json",
        "weights.bin",
    ]
