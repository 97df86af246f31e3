"""A cache of a frozen encoder's features, so that an image is encoded once for all runs.

One flat file, mapped into memory, holds every view's feature grid at a place known from the image
sizes alone. A second file marks what is done, so a build that was killed goes on where it was.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image

from diglot.core.errors import ConfigError, DataError
from diglot.core.geometry import TokenGrid
from diglot.core.types import Sample, SizeHW
from diglot.data.images import decode_image
from diglot.data.records import Dataset
from diglot.data.rejected import Rejected

FeatureDtype = Literal["float16", "float32"]
# Features of several pictures at once: (h, w, E) grids of every view of each.
Encode = Callable[[Sequence[Image.Image]], list[list[torch.Tensor]]]
MISSING, DONE, REJECTED = 0, 1, 2
BATCH_IMAGES = 8


def sample_picture(sample: Sample) -> Image.Image:
    """The sample's picture, RGB. Raises DataError where unreadable or of another size than told."""
    where = f"sample {sample.id!r}, image"
    picture = decode_image(sample.image, where=where)
    if (picture.height, picture.width) != tuple(sample.size_hw):
        raise DataError(
            "image and record differ in size",
            expected=f"(height, width) {sample.size_hw}",
            got=(picture.height, picture.width),
            where=where,
        )
    return picture


@dataclass(frozen=True, kw_only=True)
class FeatureSpec:
    """What the features depend on, and how large they are."""

    key: str  # encoder revision and preprocessing
    grid_of: Callable[[SizeHW], TokenGrid]  # the encoder's own grid, before any unshuffle
    width: int  # E
    dtype: FeatureDtype = "float16"  # float16 rounds the features to 11 bits


class FeatureCache:
    """The features of one dataset under one encoder. Sample i's views are `cache.views(i)`."""

    def __init__(self, folder: Path, dataset: Dataset, spec: FeatureSpec) -> None:
        self.dataset, self.spec = dataset, spec
        told = [spec.key, dataset.fingerprint, spec.width, spec.dtype]
        digest = hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]
        self.folder = folder / digest
        self._grids = {size: spec.grid_of(size) for size in set(dataset.sizes_hw)}
        counts = [len(self._grids[size]) for size in dataset.sizes_hw]
        self._starts = np.concatenate([[0], np.cumsum(counts)])
        self._files: tuple[np.ndarray, np.ndarray] | None = None

    @property
    def size_bytes(self) -> int:
        """What the whole cache takes on disk."""
        return int(self._starts[-1]) * self.spec.width * np.dtype(self.spec.dtype).itemsize

    def missing(self) -> list[int]:
        """Indices of samples that have no features yet."""
        if not (self.folder / "done.bin").exists():
            return list(range(len(self.dataset)))
        return np.flatnonzero(self._open()[1] == MISSING).tolist()

    def views(self, index: int) -> tuple[torch.Tensor, ...]:
        """Feature grids (h, w, E), float32, of sample `index`. DataError where it was rejected."""
        features, done = self._open()
        if done[index] != DONE:
            raise DataError(
                "its image was set aside when the features were made",
                where=f"sample {self.dataset.ids[index]!r}, image",
            )
        rows = torch.from_numpy(
            features[self._starts[index] : self._starts[index + 1]].astype(np.float32)
        )
        shapes = [view.grid_hw for view in self._grids[self.dataset.sizes_hw[index]].views]
        split = rows.split([h * w for h, w in shapes])
        return tuple(v.view(h, w, -1) for v, (h, w) in zip(split, shapes, strict=True))

    def build(self, encode: Encode, rejected: Rejected) -> Iterator[int]:
        """Encode what is missing; yields the number of samples just finished.

        Raises ConfigError where the disk has no room. A bad image is set aside in `rejected`.
        """
        missing = self.missing()
        if missing:
            self._make_room()
        for start in range(0, len(missing), BATCH_IMAGES):
            chunk = missing[start : start + BATCH_IMAGES]
            self._encode(chunk, encode, rejected)
            yield len(chunk)

    def _encode(self, indices: list[int], encode: Encode, rejected: Rejected) -> None:
        features, done = self._open()
        pictures = {}
        for index in indices:
            try:
                pictures[index] = sample_picture(self.dataset[index])
            except DataError as error:
                rejected.add(self.dataset.ids[index], str(error), where=error.where or "")
                done[index] = REJECTED
        grids = encode(list(pictures.values())) if pictures else []
        for index, views in zip(pictures, grids, strict=True):
            rows = torch.cat([view.flatten(0, 1) for view in views])
            features[self._starts[index] : self._starts[index + 1]] = rows.float().numpy()
        features.flush()  # type: ignore[attr-defined]  # rows first, then the mark that they are there
        done[list(pictures)] = DONE
        done.flush()  # type: ignore[attr-defined]

    def _make_room(self) -> None:
        if (self.folder / "done.bin").exists():
            return
        parent = self.folder.parent
        parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(parent).free
        if free < self.size_bytes:
            raise ConfigError(
                "the feature cache does not fit on the disk",
                expected=f"{self.size_bytes / 1e9:.1f} GB free",
                got=f"{free / 1e9:.1f} GB",
                where=str(parent),
                fix="Train without features, or give another folder.",
            )
        staging = self.folder.with_name(f".{self.folder.name}.{os.getpid()}")
        staging.mkdir()
        for name, size in (("features.bin", self.size_bytes), ("done.bin", len(self.dataset))):
            with open(staging / name, "wb") as file:
                file.truncate(size)
        os.replace(staging, self.folder)

    def _open(self) -> tuple[np.ndarray, np.ndarray]:
        if self._files is None:
            shape = (int(self._starts[-1]), self.spec.width)
            features = np.memmap(
                self.folder / "features.bin", self.spec.dtype, mode="r+", shape=shape
            )
            self._files = features, np.memmap(self.folder / "done.bin", np.uint8, mode="r+")
        return self._files
