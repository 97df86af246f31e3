"""The cache folder on disk: one folder per asset, there whole or not at all."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from diglot.core.progress import Progress, Report
from diglot.embedded.asset import Asset
from diglot.files import sync_folder, sync_tree

MARKER = "asset.json"


def cache_root() -> Path:
    """$DIGLOT_CACHE, else $XDG_CACHE_HOME/diglot, else ~/.cache/diglot (not made here)."""
    if own := os.environ.get("DIGLOT_CACHE"):
        return Path(own).expanduser().absolute()
    xdg = os.environ.get("XDG_CACHE_HOME")
    return (Path(xdg).expanduser() if xdg else Path.home() / ".cache").absolute() / "diglot"


def asset_folder(asset: Asset) -> Path:
    """Where the finished asset lies, or will lie."""
    return cache_root() / "embedded" / asset.folder_name


def is_cached(asset: Asset) -> bool:
    """True when the finished folder is there and every file has the size it was written with.

    Sizes, not hashes: a file that was cut or deleted later is found, and the check stays cheap.
    """
    folder = asset_folder(asset)
    try:
        marker = json.loads((folder / MARKER).read_text())
        sizes: dict[str, int] = marker["file_bytes"]
        fresh = marker["sha256"] == asset.sha256
        return fresh and all((folder / n).stat().st_size == size for n, size in sizes.items())
    except (OSError, ValueError, KeyError, TypeError):
        return False


def write_marker(asset: Asset, folder: Path) -> None:
    """Record in `folder` what it holds and from where; `is_cached` reads it."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    marker = {
        "name": asset.name,
        "source": f"{asset.registry}: {asset.source}",
        "licence": asset.licence,
        "sha256": asset.sha256,
        "revision": asset.revision,
        "file_bytes": {p.relative_to(folder).as_posix(): p.stat().st_size for p in files},
    }
    (folder / MARKER).write_text(json.dumps(marker, indent=1))


def publish_asset(finished: Path, asset: Asset) -> None:
    """Give the finished folder its name in one step; a broken one of that name goes first.

    Every file becomes as readable as the marker, which the user's umask made: some writers make
    private files, and a cache may be shared.
    """
    mode = (finished / MARKER).stat().st_mode
    for path in finished.rglob("*"):
        if path.is_file():
            path.chmod(mode)
    target = asset_folder(asset)
    if target.exists():
        broken = finished.with_name("broken")
        os.replace(target, broken)  # swept with the work folder
    sync_tree(finished)
    os.replace(finished, target)
    sync_folder(target.parent)


@contextmanager
def work_folder(asset: Asset) -> Iterator[Path]:
    """A folder beside the final one (same disk, so that os.replace works), removed at the end.

    Left-overs of a killed process go first. Hold the asset's lock.
    """
    prefix = f".partial-{asset.folder_name}-"
    parent = asset_folder(asset).parent
    for stale in parent.glob(prefix + "*"):
        shutil.rmtree(stale, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=prefix, dir=parent, ignore_cleanup_errors=True) as name:
        yield Path(name)


@contextmanager
def asset_lock(asset: Asset, report: Report) -> Iterator[None]:
    """Only one process at a time fetches an asset; a second one reports that it waits."""
    folder = asset_folder(asset).parent
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / f".{asset.name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        report(Progress(asset.name, 0, 1, "another process is fetching it; waiting"))
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
