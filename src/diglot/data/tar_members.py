"""Tar archives of unknown origin, a member at a time: what a header claims cannot fill memory.

A member's name, its PAX fields and its map of holes are read whole by `tarfile`, however long the
archive says they are, and fields that hold for all members stay. So what may be read before a
member is bounded; its content is read by whoever wants it.
"""

import bz2
import gzip
import lzma
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

MAX_HEADER_BYTES = 2**20
MAX_SHARED_FIELDS = 1000
OTHER_BYTES = "backslashreplace"  # a name that is no UTF-8 is text all the same
COMPRESSED: Mapping[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}


@contextmanager
def stream_tar(path: Path) -> Iterator["BoundedTar"]:
    """The archive as a stream, compressed or not, read from its beginning to its end.

    Raises OSError and tarfile.TarError, also from the block, where it cannot be read.
    """
    with _open_content(path) as file:
        try:
            with BoundedTar.open(
                path.name, "r|", file, encoding="utf-8", errors=OTHER_BYTES
            ) as archive:
                yield archive
        except (zlib.error, lzma.LZMAError, EOFError) as error:
            raise tarfile.ReadError(str(error)) from error


@contextmanager
def open_plain_tar(path: Path) -> Iterator["BoundedTar"]:
    """An archive that is not compressed, for members to be found by their offset.

    Raises OSError and tarfile.TarError, also from the block, where it cannot be read.
    """
    with (
        open(path, "rb") as file,
        BoundedTar.open(path.name, "r:", file, encoding="utf-8", errors=OTHER_BYTES) as archive,
    ):
        yield archive


def _open_content(path: Path) -> IO[bytes]:
    """What is in the file; `tarfile` would decompress 10 KB at once, which can be gigabytes."""
    with open(path, "rb") as file:
        start = file.read(6)
    for magic, opens in COMPRESSED.items():
        if start.startswith(magic):
            return opens(path, "rb")
    return open(path, "rb")


class BoundedTar(tarfile.TarFile):
    """A TarFile whose headers are bounded, and which does not keep those it has read."""

    def __init__(self, name: Any = None, mode: Any = "r", fileobj: Any = None, **kwargs: Any):
        metered: Any = _Metered(fileobj)
        super().__init__(name, mode, metered, **kwargs)

    def next(self) -> tarfile.TarInfo | None:
        """The next member. Raises ReadError where its headers are longer than any file's are."""
        file: Any = self.fileobj
        file.left = MAX_HEADER_BYTES
        try:
            member = super().next()
        except RecursionError as error:
            raise tarfile.ReadError("headers of headers without end") from error
        finally:
            file.left = None
        if len(self.pax_headers) > MAX_SHARED_FIELDS:
            raise tarfile.ReadError(f"more than {MAX_SHARED_FIELDS} PAX fields for all members")
        self.members = []
        return member


class _Metered:
    """A file of which only so much may be read while `left` is a number."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.left: int | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def read(self, size: int) -> bytes:
        """Raises ReadError where that is more than is left."""
        if self.left is not None:
            self.left -= size
            if self.left < 0:
                raise tarfile.ReadError(f"a member's headers are over {MAX_HEADER_BYTES} bytes")
        return self._file.read(size)
