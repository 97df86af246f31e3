"""Rows of many samples: in memory up to a limit, beyond it in a temporary file.

The file lies in a given folder, has no name where the system allows it, and goes with the process,
however that ends. A row comes back bit for bit.
"""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import torch

from diglot.core.errors import ConfigError


@dataclass(frozen=True)
class StoredRows:
    """Rows in the file of a `RowStore`; they enter memory each time they are read."""

    file: IO[bytes]
    start: int  # byte of the first row
    shape: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device  # where they come back

    def read(self) -> torch.Tensor:
        """The rows, as they were kept."""
        size = self.dtype.itemsize * torch.Size(self.shape).numel()
        if not size:
            return torch.empty(self.shape, dtype=self.dtype, device=self.device)
        found = bytearray(os.pread(self.file.fileno(), size, self.start))
        return torch.frombuffer(found, dtype=self.dtype).view(self.shape).to(self.device)


Rows = torch.Tensor | StoredRows


def read_rows(rows: Rows) -> torch.Tensor:
    """Rows wherever they are."""
    return rows.read() if isinstance(rows, StoredRows) else rows


class RowStore:
    """Keeps rows: the first `memory_bytes` as they are, the others in a file in `folder`."""

    def __init__(self, folder: Path, memory_bytes: int) -> None:
        self._folder, self._left = folder, memory_bytes
        self._file: IO[bytes] | None = None
        self.stored_bytes = 0

    def keep(self, rows_ND: torch.Tensor) -> Rows:
        """The rows, to be read by `read_rows`. Raises ConfigError where the disk takes no more."""
        size = rows_ND.numel() * rows_ND.element_size()
        if size <= self._left:
            self._left -= size
            return rows_ND.clone()  # not a view that holds all of its batch
        self._left = 0  # in order: what is read first stays at hand
        try:
            return self._append(rows_ND)
        except OSError as error:
            raise ConfigError(
                f"the temporary file of visual tokens cannot be written: {error.strerror or error}",
                got=f"{self.stored_bytes / 1e9:.1f} GB written",
                where=str(self._folder),
                fix="Make room there, take fewer samples, or raise measure.memory_mb.",
            ) from error

    def _append(self, rows_ND: torch.Tensor) -> StoredRows:
        if self._file is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115  kept open
        start, plain = self.stored_bytes, rows_ND.detach().cpu().contiguous()
        self._file.write(plain.view(torch.uint8).numpy().tobytes())
        self._file.flush()
        self.stored_bytes += plain.numel() * plain.element_size()
        return StoredRows(self._file, start, tuple(plain.shape), plain.dtype, rows_ND.device)
