"""Vectors of a word list, made once and kept on disk, however long the list is.

float16, a flat file that is mapped into memory; a second file has the checksum of every block that
is done, so that a build that was killed resumes and a block that was damaged since is made again.
The folder may be deleted when all splits are labelled.
"""

import hashlib
import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from diglot.core.progress import Progress, Report
from diglot.files import lock_file, remove_left_overs, replace_text
from diglot.synth.words.listed import Listed

PIECE_WORDS = 8192
BATCH_WORDS = 256
BLOCK_WORDS = 16 * BATCH_WORDS
CPU_ROOM_BYTES = 1 << 30  # of vectors that are held in memory between batches of images


class WordVectors:
    """The vectors (W, C), each of length 1, of a list of words under one text tower."""

    def __init__(self, folder: Path, words: Listed, width: int, *, key: str) -> None:
        """`key` names the tower: another one, or other words, are other files."""
        digest = hashlib.sha256(json.dumps([key, width, len(words)]).encode())
        for word in words:
            digest.update(word.encode() + b"\n")
        folder.mkdir(parents=True, exist_ok=True)
        self.words, self.width = words, width
        self.path = folder / f"{digest.hexdigest()[:16]}.f16"
        self._done = self.path.with_suffix(".done")
        self._held: list[tuple[int, torch.Tensor]] | None = None

    def build(self, embed: Callable[[list[str]], torch.Tensor], report: Report) -> None:
        """Make what is missing; `embed` gives the vectors (W, C) of some words.

        A second process that needs the same vectors waits for them.
        """
        with lock_file(self.path.with_suffix(".lock"), wait=True):
            self._build_blocks(embed, report)

    def _build_blocks(self, embed: Callable[[list[str]], torch.Tensor], report: Report) -> None:
        remove_left_overs(self._done)
        total, checksums = len(self.words), self._read_checksums()
        kept = self._map_file()
        for block, first in enumerate(range(0, total, BLOCK_WORDS)):
            rows = kept[first : first + BLOCK_WORDS]
            if checksums.get(str(block)) != _block_checksum(rows):
                self._embed_block(rows, first, embed, report)
                kept.flush()  # type: ignore[attr-defined]  # vectors first, then their checksum
                checksums[str(block)] = _block_checksum(rows)
                replace_text(self._done, json.dumps(checksums))
            report(Progress("words", min(first + BLOCK_WORDS, total), total))

    def _embed_block(
        self,
        rows: np.ndarray,
        first: int,
        embed: Callable[[list[str]], torch.Tensor],
        report: Report,
    ) -> None:
        for start in range(0, len(rows), BATCH_WORDS):
            batch = self.words[first + start : first + min(start + BATCH_WORDS, len(rows))]
            rows[start : start + len(batch)] = embed(batch).cpu().numpy().astype(np.float16)
            report(Progress("words", first + start + len(batch), len(self.words)))

    def _map_file(self) -> np.ndarray:
        """The file, of its size whatever became of it, mapped into memory."""
        size = len(self.words) * self.width * 2
        with open(self.path, "ab") as file:
            file.truncate(size)
        return np.memmap(self.path, np.float16, "r+", shape=(len(self.words), self.width))

    def _read_checksums(self) -> dict[str, int]:
        """Of the blocks that are done; none where the file is not to be read."""
        try:
            found = json.loads(self._done.read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def pieces(self, device: torch.device) -> Iterator[tuple[int, torch.Tensor]]:
        """(number of the first word, vectors (W, C)) of piece after piece, on `device`.

        What fits there is read once: in half of a GPU's free memory as float16, in a GB of the
        CPU's as float32. Of a longer list, each pass reads the file again.
        """
        if self._held is not None:
            return iter(self._held)
        size = len(self.words) * self.width * (2 if device.type == "cuda" else 4)
        if size > _free_bytes(device):
            return self._read_pieces(device)
        self._held = list(self._read_pieces(device))
        return iter(self._held)

    def _read_pieces(self, device: torch.device) -> Iterator[tuple[int, torch.Tensor]]:
        shape = (len(self.words), self.width)
        kept = np.memmap(self.path, np.float16, "r", shape=shape)
        for first in range(0, len(self.words), PIECE_WORDS):
            piece = torch.from_numpy(np.array(kept[first : first + PIECE_WORDS])).to(device)
            yield first, piece if device.type == "cuda" else piece.float()


def _block_checksum(rows: np.ndarray) -> int:
    return zlib.crc32(rows.tobytes())


def _free_bytes(device: torch.device) -> int:
    return torch.cuda.mem_get_info(device)[0] // 2 if device.type == "cuda" else CPU_ROOM_BYTES
