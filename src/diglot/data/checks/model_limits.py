"""What a chosen model cannot use of a record: captions too long, objects under no visual token."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from diglot.core import masks
from diglot.core.errors import ConfigError, DataError
from diglot.core.preprocess import Preprocess
from diglot.core.types import Rle
from diglot.data.checks.fault import Fault


@dataclass(frozen=True, kw_only=True)
class Grid:
    """How an encoder lays its tokens over an image."""

    preprocess: Preprocess
    patch_px: int
    unshuffle: int = 1


@dataclass(frozen=True, kw_only=True)
class ModelLimits:
    """The limits that records are checked against; what is None is not checked."""

    grid: Grid | None = None
    max_tokens: int | None = None
    """Most tokens of image and text together."""
    tokenizer: Any = None
    """Counts a text's tokens: a tokenizer of transformers. It is sent to other processes."""

    def find_faults(self, row: dict[str, Any]) -> list[Fault]:
        """What of `row`, which has no other fault, the model cannot use."""
        try:
            grids = self._token_grids(row)
        except (DataError, ConfigError) as error:
            return [Fault("record cannot be used", "sizes_hw", str(error))]
        return [*self._check_length(row, grids), *self._check_objects(row, grids)]

    def _token_grids(self, row: dict[str, Any]) -> list[Any]:
        if self.grid is None:
            return []
        shape = {"patch_px": self.grid.patch_px, "unshuffle": self.grid.unshuffle}
        return [
            self.grid.preprocess.token_grid((size[0], size[1]), **shape) for size in row["sizes_hw"]
        ]

    def _check_length(self, row: dict[str, Any], grids: list[Any]) -> Iterator[Fault]:
        if self.max_tokens is None or self.tokenizer is None:
            return
        texts = [turn["text"] for turn in row.get("turns") or ()] or [row.get("caption") or ""]
        tokens = sum(len(self.tokenizer(text)["input_ids"]) for text in texts)
        total = tokens + sum(map(len, grids))
        if total > self.max_tokens:
            detail = f"{total} tokens with the image, of {self.max_tokens}"
            yield Fault("caption is longer than the model reads", "caption", detail)

    def _check_objects(self, row: dict[str, Any], grids: list[Any]) -> Iterator[Fault]:
        """An object that touches no token's cell: it lies where the image is cropped away."""
        for number, region in enumerate(row.get("regions") or ()) if grids else ():
            grid = grids[region.get("image") or 0]
            mask = region.get("mask")
            if mask:
                size = mask["size"]
                pixels_HW = masks.decode_mask(
                    Rle(size_hw=(size[0], size[1]), counts=mask["counts"])
                )
                covered: np.ndarray = grid.mask_cover(pixels_HW) > 0
            else:
                covered = grid.overlapping(tuple(region["box"]))
            if not covered.any():
                where = f"regions[{number}]"
                yield Fault("object covers no visual token", where, region["phrase"])
