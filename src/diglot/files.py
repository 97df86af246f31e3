"""Files that are whole or not there: atomic writing, locks, digests, and results that are reused.

A reader never meets half a file: what is written goes into a temporary file beside the target, is
flushed to the disk, and only then takes the target's name.
"""

import contextlib
import ctypes
import difflib
import functools
import glob
import hashlib
import json
import logging
import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator
from fnmatch import fnmatch
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock, Timeout

from diglot.core.errors import ConfigError

log = logging.getLogger(__name__)

T = TypeVar("T")
_CLEARED = set[tuple[int, str]]()  # processes and folders, of `remove_dead_files`
_SAMPLE_BLOCKS, _BLOCK_BYTES = 1024, 1 << 16  # 64 MiB
MANY_FILES = 1000  # beyond these a folder is flushed with its file system
_FORMULA = tuple("=+-@\t\r")  # how a cell begins that spreadsheets take for a formula


def replace_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with replace_file(path) as temporary:
        temporary.write_text(text, "utf-8")


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object that a file holds. Raises ConfigError naming the file where it is none."""
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"not readable as JSON: {error}", where=str(path)) from error
    if not isinstance(content, dict):
        raise ConfigError(
            "not a JSON object", expected="{...}", got=str(content)[:50], where=str(path)
        )
    return content


def write_json(path: Path, content: Any) -> None:
    """Write `content` as JSON, whole or not at all; missing folders are made.

    Raises ConfigError where the file cannot be written, ValueError for NaN or an infinite number.
    """
    text = json.dumps(content, indent=1, allow_nan=False) + "\n"
    with check_writable(path):
        replace_text(path, text)


def explain_missing(path: Path) -> str:
    """Why nothing can be read at `path`: it is of another kind, or not there (what is like it)."""
    if re.match(r"(https?|s3|gs|hf):/", str(path)):
        return "a web address, not a path here; download it first, or give a model's hub id"
    if path.exists():
        return "a folder, not a file" if path.is_dir() else "a file, not a folder"
    with contextlib.suppress(OSError):
        if path.is_symlink() and not path.exists():
            return f"a link to {os.readlink(path)}, which leads nowhere"
    parent = next((above for above in path.absolute().parents if above.is_dir()), Path("/"))
    wanted = path.absolute().relative_to(parent).parts[0]
    with contextlib.suppress(OSError):
        if near := difflib.get_close_matches(wanted, [p.name for p in parent.iterdir()], n=1):
            return f"not there; {parent} has {near[0]!r}"
    above = parent / wanted
    return "not there" if above == path.absolute() else f"{above} is not there"


def check_readable_folder(folder: Path, what: str, *, fix: str | None = None) -> None:
    """Raises ConfigError where there is no folder, or it may not be read.

    A search for files takes an unreadable folder for an empty one.

    Args:
        folder: What is to be read.
        what: What the user meant by it: "dataset folder".
        fix: What to do where it is not there.
    """
    if not folder.is_dir():
        raise ConfigError(f"no such {what}: {explain_missing(folder)}", where=str(folder), fix=fix)
    try:
        with os.scandir(folder):
            return
    except OSError as error:
        raise ConfigError(
            f"the {what} cannot be read ({error.strerror})",
            where=str(folder),
            fix="Give yourself the right to read it, or name another.",
        ) from error


def refuse_missing_folder(path: str, where: str) -> None:
    """Raises ConfigError where a local folder was meant and is not there: no hub has its name."""
    meant_here = path.startswith(("/", "./", "../", "~")) or path.count("/") > 1 or "\\" in path
    if meant_here and not Path(path).is_dir():
        reason = explain_missing(Path(path).expanduser())
        raise ConfigError(f"cannot load {path!r}: no such folder: {reason}", where=where)


def check_writable_file(path: Path) -> None:
    """Raises ConfigError for a path that no file can be written to: found before long work."""
    reason = None
    parent = next(above for above in path.absolute().parents if above.exists())
    if path.is_dir():
        reason = "it is a folder"
    elif not parent.is_dir():
        reason = f"{parent} is a file"
    elif not os.access(path if path.exists() else parent, os.W_OK):
        reason = f"{path if path.exists() else parent} may not be written to"
    if reason:
        raise ConfigError(f"no file can be written here: {reason}", where=str(path))


def check_writable_folder(path: Path) -> None:
    """Raises ConfigError for a path where no folder can be made: found before long work."""
    above = next(p for p in (path.absolute(), *path.absolute().parents) if os.path.lexists(p))
    reason = None
    if not above.exists():
        reason = explain_missing(above)
    elif not above.is_dir():
        reason = f"{above} is a file"
    elif not os.access(above, os.W_OK):
        reason = f"{above} may not be written to"
    if reason:
        fix = "Name another folder."
        raise ConfigError(f"no folder can be made here: {reason}", where=str(path), fix=fix)


@contextlib.contextmanager
def check_writable(path: Path) -> Iterator[None]:
    """Turns an OSError of the block into a ConfigError that names `path`."""
    try:
        yield
    except OSError as error:
        if isinstance(error, FileExistsError | NotADirectoryError):
            check_writable_folder(path)  # says which file is in the way
        raise ConfigError(f"cannot write: {error.strerror or error}", where=str(path)) from error


@contextlib.contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """A temporary file beside `path`, which takes its place if the block ends well.

    Missing folders are made. File and folder are flushed to the disk, so that a power cut leaves
    the old file or the new one. What killed writers left in the folder goes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_dead_files(path.parent)
    prefix = f".{path.name}.{_digest_host()}-{os.getpid()}-"
    try:
        handle, name = tempfile.mkstemp(prefix=prefix, suffix=".tmp", dir=path.parent)
    except OSError as error:
        error.filename = str(path)  # the temporary file's name says nothing to a reader
        raise
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_read_umask())
        os.replace(temporary, path)
        sync_folder(path.parent)
        _note_made(path)
    except OSError as error:
        error.filename = error.filename or str(path)  # a write to a full disk does not say where
        raise
    finally:
        temporary.unlink(missing_ok=True)


_NAMED = set[Path]()  # outputs that the user named, and that this process may write
MADE_FILES = ".made_files"


def name_output(path: Path) -> None:
    """Have an output remembered beside it, once it is written, as one that may be replaced."""
    _NAMED.add(path.absolute())


def is_made(path: Path) -> bool:
    """Whether a file is an output that was remembered; it is known by its name alone."""
    return json.dumps(path.name).encode() in read_lines(path.parent / MADE_FILES)


def _note_made(path: Path) -> None:
    if path.absolute() in _NAMED and not is_made(path):
        append_lines(path.parent / MADE_FILES, [json.dumps(path.name)])


def remove_dead_files(folder: Path) -> None:
    """Clear the temporary files of `replace_file` whose writers, on this machine, are dead.

    A process looks at each folder once: what is left there after that is of a writer beside it.
    """
    place = (os.getpid(), os.fspath(folder.absolute()))
    if place in _CLEARED:
        return
    _CLEARED.add(place)
    mark = f".{_digest_host()}-"
    for path in folder.glob(f".*{mark}*-*.tmp"):
        pid = path.name.rpartition(mark)[2].partition("-")[0]
        if pid.isdigit() and not _is_alive(int(pid)):
            path.unlink(missing_ok=True)


@functools.cache
def _digest_host() -> str:
    """Stands for this machine in names of temporary files: a process's number is its alone."""
    return hashlib.sha256(platform.node().encode()).hexdigest()[:6]


def _is_alive(pid: int) -> bool:
    """Whether a process of this machine runs, whoever's it is; where that is not known, yes."""
    if os.name != "posix":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def append_lines(path: Path, lines: Iterable[str]) -> None:
    """Append lines of ASCII to a text file; they are on the disk on return."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "ab") as file:
        file.write("".join(f"{line}\n" for line in lines).encode("ascii"))
        file.flush()
        os.fsync(file.fileno())


def read_lines(path: Path) -> list[bytes]:
    """The lines of a file that `append_lines` wrote, none where it is missing.

    A last line that a kill tore is cut off the file.
    """
    content = path.read_bytes() if path.exists() else b""
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        os.truncate(path, whole)
    return content[:whole].splitlines()


def sync_tree(folder: Path) -> None:
    """Flush every file of a folder, and all folders of it, to the disk."""
    many = next(islice(_list_tree(folder), MANY_FILES, None), None) is not None
    if many and _sync_file_system(folder):
        return
    for path in _list_tree(folder):
        if path.is_dir():
            sync_folder(path)
        elif path.is_file():
            with open(path, "rb") as file:
                os.fsync(file.fileno())
    sync_folder(folder)


def _list_tree(folder: Path) -> Iterator[Path]:
    """Everything below a folder; `rglob` would hold all of a million names."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _list_tree(Path(entry.path))
            yield Path(entry.path)


def _sync_file_system(folder: Path) -> bool:
    """Flush all of the folder's file system in one call, where there is such a one (Linux): for a
    million files a minute in place of an hour.
    """
    if sys.platform != "linux":
        return False
    sync = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if sync is None:
        return False
    handle = os.open(folder, os.O_RDONLY)
    try:
        if sync(handle) != 0:
            raise OSError(ctypes.get_errno(), "the file system cannot be flushed", str(folder))
    finally:
        os.close(handle)
    return True


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to the disk: a rename lasts only then (POSIX; elsewhere nothing)."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def replacing_folder(target: Path) -> Iterator[Path]:
    """A new folder beside `target`, which takes its place, whole, if the block ends well.

    Left-overs of a writer that was killed go first: hold the lock of whoever writes here.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    remove_left_overs(target)
    staging = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    staging.mkdir()
    try:
        yield staging
        sync_tree(staging)
        if target.exists():  # a crash from here on leaves the old one, whole, under a hidden name
            os.replace(target, target.with_name(f".{target.name}.{os.getpid()}.old"))
        os.replace(staging, target)
        sync_folder(target.parent)
    finally:
        remove_left_overs(target)


@contextlib.contextmanager
def lock_folder(target: Path, *, wait: bool) -> Iterator[None]:
    """Write the folder `target` as the only process; of two, the second waits or is refused.

    Hold it from before what is there is looked at. The lock is a hidden file beside the folder, and
    stays: of two processes that meet one as it is removed, one would lock the file that is gone and
    the other a new one, and both would write.

    Raises ConfigError where another process writes and `wait` is False.
    """
    with check_writable(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    with lock_file(target.with_name(f".{target.name}.lock"), wait=wait):
        yield


def remove_left_overs(target: Path) -> None:
    """Clear what killed writers of the file or folder `target` left beside it."""
    for suffix in ("tmp", "old"):
        for path in target.parent.glob(f".{glob.escape(target.name)}.*.{suffix}"):
            if suffix == "old" and not target.exists():
                os.replace(path, target)  # killed between the two renames
            elif path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _read_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@contextlib.contextmanager
def lock_file(path: Path, *, wait: bool) -> Iterator[None]:
    """Hold a lock file that ends with the process, on every system.

    Raises ConfigError where another process holds it and `wait` is False.
    """
    lock = FileLock(path, mode=0o666 & ~_read_umask())
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


def sample_sha256(path: Path) -> str:
    """The SHA-256 of a file's size and of blocks spread over it, of a small one of all bytes.

    Other weights differ all over: a large model need not be read whole to know it again.
    """
    size = path.stat().st_size
    if size <= _SAMPLE_BLOCKS * _BLOCK_BYTES:
        return file_sha256(path)
    digest = hashlib.sha256(str(size).encode())
    with open(path, "rb") as file:
        for number in range(_SAMPLE_BLOCKS):
            file.seek((size - _BLOCK_BYTES) * number // (_SAMPLE_BLOCKS - 1))
            digest.update(file.read(_BLOCK_BYTES))
    return digest.hexdigest()


class FileNotes:
    """What is known of files of one folder, each read once as long as it is not touched.

    It is remembered in a hidden file by size, time of change and inode. Where the folder cannot be
    written to, it is remembered by this object alone.

    Args:
        folder: Where the files lie, and the hidden one.
        name: Of the hidden file.
        read: What is noted of a file; anything JSON.
    """

    def __init__(self, folder: Path, name: str, read: Callable[[Path], Any]) -> None:
        self._folder, self._file, self._read = folder, folder / name, read
        self._kept = dict[str, list[Any]]()
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            kept = json.loads(self._file.read_text("utf-8"))
            if kept["digest"] == _kept_digest(name, kept["files"]):
                self._kept = dict(kept["files"])

    def find(self, *names: str) -> list[Any]:
        """The notes of files of the folder. Raises OSError for one that cannot be read, and what
        `read` raises.
        """
        before = dict(self._kept)
        notes = [self._find(name) for name in names]
        if self._kept != before:
            kept = {"files": self._kept, "digest": _kept_digest(self._file.name, self._kept)}
            with contextlib.suppress(OSError):
                remove_left_overs(self._file)
                replace_text(self._file, json.dumps(kept))
        return notes

    def _find(self, name: str) -> Any:
        stat = (self._folder / name).stat()
        stamp = [stat.st_size, stat.st_mtime_ns, stat.st_ino]
        kept = self._kept.get(name)
        if kept is None or kept[:3] != stamp:
            kept = self._kept[name] = [*stamp, self._read(self._folder / name)]
        return kept[3]


class FileDigests(FileNotes):
    """SHA-256 of the files of one folder, each read once as long as it is not touched."""

    NAME = ".digests.json"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, self.NAME, lambda path: file_sha256(path))


def reuse_or_make(path: Path, about: Any, make: Callable[[], T]) -> T:
    """The JSON content of `path` if it was made with the same `about`; else made and kept there.

    `about` is all that the content depends on (settings, digests of inputs; anything JSON). Of
    several processes one makes it and the others wait. A file that is damaged is made again.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with lock_file(path.with_name(f".{path.name}.lock"), wait=True):
        remove_left_overs(path)
        kept = read_kept(path, about)
        if kept is not None:
            return kept
        made = make()
        write_kept(path, about, made)
        return made


def read_kept(path: Path, about: Any) -> Any | None:
    """What `reuse` keeps in `path`; None where there is none, or another, or a damaged one."""
    if not path.exists():
        return None
    try:
        entry = json.loads(path.read_bytes())
        whole = entry["digest"] == _kept_digest(entry["about"], entry["content"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        whole, entry = False, {}
    if not whole:
        log.warning("%s is damaged or of an older version: it is made again", path)
        return None
    return entry["content"] if entry["about"] == _plain_json(about) else None


def write_kept(path: Path, about: Any, content: Any) -> None:
    """Keep `content` (anything JSON) with what it depends on, for `read_kept`."""
    plain, made = _plain_json(about), _plain_json(content)
    write_json(path, {"about": plain, "content": made, "digest": _kept_digest(plain, made)})


def _plain_json(content: Any) -> Any:
    return json.loads(json.dumps(content))


def _kept_digest(about: Any, content: Any) -> str:
    return hashlib.sha256(json.dumps([about, content], sort_keys=True).encode()).hexdigest()


def readable_name(name: str) -> str:
    """A file's name as text: bytes of it that are no UTF-8 are written out, as in caf\\xe9."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def csv_cell(value: Any) -> Any:
    """`value` as it may stand in a CSV file: text that a spreadsheet would run gets a quote first.

    `read_csv_cell` takes it away again. Numbers stay as they are.
    """
    return f"'{value}" if isinstance(value, str) and value[:1] in _FORMULA else value


def read_csv_cell(text: str) -> str:
    """The inverse of `csv_cell`."""
    return text[1:] if text[:1] == "'" and text[1:2] in _FORMULA else text


def first_difference(before: Any, now: Any) -> tuple[str, str, str]:
    """The dotted path of the first field that differs, and both its values, shortened."""
    path = list[str]()
    while isinstance(before, dict) and isinstance(now, dict):
        both = before.keys() | now.keys()
        path.append(min(key for key in both if before.get(key) != now.get(key)))
        before, now = before.get(path[-1]), now.get(path[-1])
    was, is_now = (text[:97] + "..." * (len(text) > 97) for text in (repr(before), repr(now)))
    return ".".join(path), was, is_now


def check_same_settings(what: str, before: Any, now: Any, where: Path) -> None:
    """Raises ConfigError where `what` lies in a folder was made with other settings than `now`."""
    if before == now:
        return
    other = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
    key, was, is_now = first_difference(before, now)
    raise ConfigError(
        f"the {what} there was made with other settings: {', '.join(other)}",
        expected=f"{key} = {was} to add to it",
        got=is_now,
        where=str(where),
        fix="Choose another folder, or delete this one.",
    )


def check_own_folder(folder: Path, *, marker: str, beside: Collection[str] = ()) -> None:
    """Raises ConfigError for a folder that holds files of others: it is not ours to write into.

    Ours is one that is empty or holds `marker`. Hidden files and those that match a pattern in
    `beside` do not count.
    """
    if (folder / marker).exists() or not folder.is_dir():
        return
    names = sorted(p.name for p in folder.iterdir() if not p.name.startswith("."))
    foreign = [name for name in names if not any(fnmatch(name, one) for one in beside)]
    if foreign:
        raise ConfigError(
            "the folder holds files that are not of this command",
            expected=f"an empty folder, or one with {marker}",
            got=", ".join(foreign[:5]),
            where=str(folder),
            fix="Choose another folder.",
        )


OWNER = ".made_by"


def check_owner(
    folder: Path, command: str, *, known: Collection[str] = (), beside: Collection[str] = ()
) -> bool:
    """Whether a folder is the command's own already; it may be new or empty.

    `known` are patterns of files by which a folder of an earlier version is known. Raises
    ConfigError for a file, and for a folder of another command or with files of others; what
    matches a pattern in `beside` may be there all the same.
    """
    owner = folder / OWNER
    made_by = owner.read_text("utf-8", "replace").strip() if owner.is_file() else ""
    if made_by and made_by != command:
        raise ConfigError(
            "the folder is not of this command",
            expected=f"a folder of diglot {command}",
            got=f"one of diglot {made_by}",
            where=str(folder),
            fix="Choose another folder.",
        )
    if not made_by and not any(any(folder.glob(one)) for one in known):
        check_own_folder(folder, marker=OWNER, beside=beside)
    return bool(made_by)


def claim_folder(
    folder: Path, command: str, *, known: Collection[str] = (), beside: Collection[str] = ()
) -> None:
    """Make a folder the command's own, as `check_owner` allows; missing ones are made."""
    is_ours = check_owner(folder, command, known=known, beside=beside)
    with check_writable(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if not is_ours:
            replace_text(folder / OWNER, f"{command}\n")
