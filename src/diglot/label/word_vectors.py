"""Vectors of a word list, made once and kept on disk, however long the list is.

float16, a flat file that is mapped into memory; a second file says how many are done, so that a
build that was killed goes on.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from diglot.data.shards import replace_text
from diglot.label.listed import Listed

PIECE_WORDS = 8192
BATCH_WORDS = 256


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

    def build(
        self, embed: Callable[[list[str]], torch.Tensor], report: Callable[[int, int], None]
    ) -> None:
        """Make what is missing; `embed` gives the vectors (W, C) of some words."""
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
            report(done, total)

    def pieces(self) -> Iterator[tuple[int, torch.Tensor]]:
        """(number of the first word, vectors) of piece after piece, float32 on the CPU."""
        shape = (len(self.words), self.width)
        kept = np.memmap(self.path, np.float16, "r", shape=shape)
        for first in range(0, len(self.words), PIECE_WORDS):
            piece = np.array(kept[first : first + PIECE_WORDS], np.float32)
            yield first, torch.from_numpy(piece)
