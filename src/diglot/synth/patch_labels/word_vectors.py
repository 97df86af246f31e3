"""Vectors of a word list, made once and kept on disk, however long the list is.

float16, a flat file that is mapped into memory; a second file says how many are done, so that a
build that was killed goes on. The folder may be deleted when all splits are labelled.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from diglot.core.progress import Progress, Report
from diglot.files import locked, replace_text
from diglot.synth.words.listed import Listed

PIECE_WORDS = 8192
BATCH_WORDS = 256
CPU_ROOM_BYTES = 1 << 30  # of vectors that are held in memory between batches of images


class WordVectors:
    """The vectors (W, C), each of length 1, of a list of words under one text tower."""

    def __init__(self, folder: Path, words: Listed, width: int, *, key: str) -> None:
        """`key` names the tower: another one, or other words, are other files."""
        told = hashlib.sha256(json.dumps([key, width, len(words)]).encode())
        for word in words:
            told.update(word.encode() + b"\n")
        folder.mkdir(parents=True, exist_ok=True)
        self.words, self.width = words, width
        self.path = folder / f"{told.hexdigest()[:16]}.f16"
        self._done = self.path.with_suffix(".done")
        self._held: list[tuple[int, torch.Tensor]] | None = None

    def build(self, embed: Callable[[list[str]], torch.Tensor], report: Report) -> None:
        """Make what is missing; `embed` gives the vectors (W, C) of some words.

        A second process that needs the same vectors waits for them.
        """
        with locked(self.path.with_suffix(".lock"), wait=True):
            self._build(embed, report)

    def _build(self, embed: Callable[[list[str]], torch.Tensor], report: Report) -> None:
        total = len(self.words)
        done = int(self._done.read_text()) if self._done.exists() else 0
        mode = "r+" if self.path.exists() and done else "w+"
        kept = np.memmap(self.path, np.float16, mode, shape=(total, self.width))
        while done < total:
            piece = self.words[done : done + BATCH_WORDS]
            kept[done : done + len(piece)] = embed(piece).cpu().numpy().astype(np.float16)
            done += len(piece)
            if done == total or done % (BATCH_WORDS * 16) == 0:
                kept.flush()
                replace_text(self._done, str(done))
            report(Progress("words", done, total))

    def pieces(self, device: torch.device) -> Iterator[tuple[int, torch.Tensor]]:
        """(number of the first word, vectors (W, C)) of piece after piece, on `device`.

        What fits there is read once: in half of a GPU's free memory as float16, in a GB of the
        CPU's as float32. Of a longer list, each pass reads the file again.
        """
        if self._held is not None:
            return iter(self._held)
        size = len(self.words) * self.width * (2 if device.type == "cuda" else 4)
        if size > _room(device):
            return self._read(device)
        self._held = list(self._read(device))
        return iter(self._held)

    def _read(self, device: torch.device) -> Iterator[tuple[int, torch.Tensor]]:
        shape = (len(self.words), self.width)
        kept = np.memmap(self.path, np.float16, "r", shape=shape)
        for first in range(0, len(self.words), PIECE_WORDS):
            piece = torch.from_numpy(np.array(kept[first : first + PIECE_WORDS])).to(device)
            yield first, piece if device.type == "cuda" else piece.float()


def _room(device: torch.device) -> int:
    return torch.cuda.mem_get_info(device)[0] // 2 if device.type == "cuda" else CPU_ROOM_BYTES
