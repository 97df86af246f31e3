"""Files that are whole or not there: atomic writing, locks and digests.

A reader never meets half a file: what is written goes into a temporary file beside the target, is
flushed to the disk, and only then takes the target's name.
"""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from diglot.core.errors import ConfigError


def replace_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, "utf-8")


def write_json(path: Path, content: Any) -> None:
    """Write `content` as JSON, whole or not at all; missing folders are made.

    Raises ConfigError where the file cannot be written, ValueError for NaN or an infinite number.
    """
    text = json.dumps(content, indent=1, allow_nan=False) + "\n"
    with writable(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_text(path, text)


@contextlib.contextmanager
def writable(path: Path) -> Iterator[None]:
    """Turns an OSError of the block into a ConfigError that names `path`."""
    try:
        yield
    except OSError as error:
        raise ConfigError(f"cannot write: {error.strerror or error}", where=str(path)) from error


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file beside `path`, which takes its place if the block ends well.

    File and folder are flushed to the disk, so that a power cut leaves the old file or the new one.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """An empty folder beside `folder`, which takes its name if the block ends well.

    An older `folder` goes; a crash between the two renames leaves both, whole, under hidden names.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    try:
        yield staging
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    old = staging.with_name(f"{staging.name}.old")
    if folder.exists():
        os.replace(folder, old)
    os.replace(staging, folder)
    sync_folder(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to the disk: a rename lasts only then (POSIX; elsewhere nothing)."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@contextlib.contextmanager
def locked(path: Path, *, wait: bool) -> Iterator[None]:
    """Hold a lock file that ends with the process, on every system.

    Raises ConfigError where another process holds it and `wait` is False.
    """
    lock = FileLock(path, mode=0o666 & ~_umask())
    try:
        lock.acquire(timeout=-1 if wait else 0)
    except Timeout as error:
        raise ConfigError(
            "another process is writing here",
            where=str(path.parent),
            fix="Wait until it has ended, or choose another folder.",
        ) from error
    try:
        yield
    finally:
        lock.release()


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, as 64 hex digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
