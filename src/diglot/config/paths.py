"""Paths of the command line that are checked when they are read, before any work is done."""

from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from jsonargparse.typing import register_type

from diglot.files import check_writable_file

if TYPE_CHECKING:
    OutFile: TypeAlias = Path
else:

    class OutFile(type(Path())):
        """A file that a verb writes in the end: that it can be written is known at the start."""


def _read_out_file(text: str | Path) -> Path:
    path = OutFile(Path(text).expanduser())
    check_writable_file(path)
    return path


register_type(OutFile, deserializer=_read_out_file)
