"""A cache of a frozen encoder's features, so that an image is encoded once for all runs.

One flat file, mapped into memory, holds every view's feature grid at a place known from the image
sizes alone. A second file marks what is done, each sample with the checksum of its features, so
that a build that was killed resumes and features that were damaged since are made again. A cache of
up to CHECKED_BYTES is checked as a whole when opened, a larger one sample by sample as it is read.
"""

import hashlib
import json
import logging
import os
import shutil
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from diglot.core.errors import ConfigError, DataError
from diglot.core.geometry import TokenGrid
from diglot.core.types import Sample, SizeHW
from diglot.data.config import CACHE, FeatureDtype
from diglot.data.images import decode_image
from diglot.data.records import Dataset
from diglot.data.rejected import Notes, rejection_of
from diglot.files import claim_folder, lock_folder, replacing_folder

log = logging.getLogger(__name__)

# Features of several pictures at once: (h, w, E) grids of every view of each.
Encode = Callable[[Sequence[Image.Image]], list[list[torch.Tensor]]]
MISSING, DONE, REJECTED = 0, 1, 2
BATCH_IMAGES = 8
CHECKED_BYTES = 1 << 30
_LAYOUT = 2  # of the two files


def sample_picture(sample: Sample) -> Image.Image:
    """The sample's only picture, RGB. Raises DataError as `sample_pictures`, or for several."""
    _ = sample.image  # refuses another number
    return sample_pictures(sample)[0]


def sample_pictures(sample: Sample) -> list[Image.Image]:
    """The sample's pictures, RGB.

    Raises DataError where one is unreadable or of another size than the record states.
    """
    where = f"sample {sample.id!r}, images"
    sized = enumerate(zip(sample.images, sample.sizes_hw, strict=True))
    return [_open_picture(image, size, where=f"{where}[{n}]") for n, (image, size) in sized]


def _open_picture(image: bytes | Path, size_hw: SizeHW, *, where: str) -> Image.Image:
    picture = decode_image(image, where=where)
    if (picture.height, picture.width) != size_hw:
        raise DataError(
            "image and record differ in size",
            expected=f"(height, width) {size_hw}",
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
        parts = [spec.key, dataset.fingerprint, spec.width, spec.dtype, _LAYOUT]
        digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
        self.folder = folder / digest
        sizes = set(chain.from_iterable(dataset.sizes_hw))
        self._grids = {size: _grid_or_none(spec, size) for size in sizes}
        counts = [sum(len(self._grids[s] or ()) for s in sizes) for sizes in dataset.sizes_hw]
        self._starts = np.concatenate([[0], np.cumsum(counts)])
        self._files: tuple[np.ndarray, np.ndarray] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_files": None}  # each process maps the files itself

    @property
    def size_bytes(self) -> int:
        """What the whole cache takes on disk."""
        return self._count_rows * self._row_bytes

    @property
    def _count_rows(self) -> int:
        return int(self._starts[-1])

    @property
    def _row_bytes(self) -> int:
        return self.spec.width * np.dtype(self.spec.dtype).itemsize

    def missing(self, first: int | None = None) -> list[int]:
        """Indices, among the `first` samples or all, of those that have no features yet."""
        indices = range(len(self.dataset))[:first]
        if not self._marks_file.exists():
            return list(indices)
        return [index for index in indices if self._read_state(index) == MISSING]

    def rejected(self) -> list[int]:
        """Indices of the samples that have no features, as one of their pictures cannot be used."""
        if not self._marks_file.exists():
            return []
        return [i for i in range(len(self.dataset)) if self._read_state(i) == REJECTED]

    def views(self, index: int) -> tuple[torch.Tensor, ...]:
        """Feature grids (h, w, E), float32, of all images of sample `index`, in order.

        Raises DataError where it was rejected.
        """
        grids = [self._grids[size] for size in self.dataset.sizes_hw[index]]
        if self._read_state(index) != DONE or None in grids:
            self.open_pictures(index)  # raises again what is wrong with it
            raise DataError(
                "no features of its image", where=f"sample {self.dataset.ids[index]!r}, images"
            )
        kept = self._rows_of(index)
        if not self._is_whole(index, kept):
            self._set_mark(index, MISSING)
            raise ConfigError(
                f"the features of sample {self.dataset.ids[index]!r} are damaged",
                where=str(self._features_file),
                fix="Run the same command again: they are then made again.",
            )
        rows = torch.from_numpy(kept.astype(np.float32))
        shapes = [view.grid_hw for grid in grids if grid is not None for view in grid.views]
        split = rows.split([h * w for h, w in shapes])
        return tuple(v.view(h, w, -1) for v, (h, w) in zip(split, shapes, strict=True))

    def build(
        self,
        encode: Encode,
        rejected: Notes,
        *,
        first: int | None = None,
        process: int = 0,
        processes: int = 1,
    ) -> Iterator[int]:
        """Encode what is missing of the `first` samples; yields the number just finished.

        Of several processes each encodes its share; room must have been made before. A bad image is
        noted in `rejected`.
        """
        missing = [index for index in self.missing(first) if index % processes == process]
        for start in range(0, len(missing), BATCH_IMAGES):
            chunk = missing[start : start + BATCH_IMAGES]
            self._encode_missing(chunk, encode, rejected)
            yield len(chunk)

    def _encode_missing(self, indices: list[int], encode: Encode, rejected: Notes) -> None:
        features, marks = self._open_maps()
        pictures: dict[int, list[Image.Image]] = {}
        for index in indices:
            try:
                pictures[index] = self.open_pictures(index)
            except DataError as error:
                rejected.note(rejection_of(self.dataset.ids[index] or f"#{index}", error))
                self._set_mark(index, REJECTED)
        flat = list(chain.from_iterable(pictures.values()))
        grids = iter(encode(flat) if flat else [])
        for index, own in pictures.items():
            rows = [view.flatten(0, 1) for _ in own for view in next(grids)]
            if rows:  # a conversation may have no image
                stacked = torch.cat(rows).float().numpy()
                features[self._starts[index] : self._starts[index + 1]] = stacked
        features.flush()  # type: ignore[attr-defined]  # rows first, then the mark that they are there
        for index in pictures:
            self._set_mark(index, DONE)
        marks.flush()  # type: ignore[attr-defined]

    def open_pictures(self, index: int) -> list[Image.Image]:
        """The pictures to encode. Raises DataError for one that cannot be, or has no grid."""
        sample = self.dataset[index]
        for size_hw in sample.sizes_hw:
            self.spec.grid_of(size_hw)
        return sample_pictures(sample)

    def write_rows(self, rows: Mapping[int, np.ndarray]) -> dict[int, int]:
        """Write the features (rows, E) of samples, unmarked; checksums once they are on the disk.

        Several processes, on several machines, may write those of different samples.
        """
        checksums = {}
        with open(self._features_file, "r+b") as file:
            for index, features in rows.items():
                kept = features.astype(self.spec.dtype).tobytes()
                file.seek(int(self._starts[index]) * self._row_bytes)
                file.write(kept)
                checksums[index] = zlib.crc32(kept)
            file.flush()
            os.fsync(file.fileno())
        return checksums

    def mark_written(self, checksums: Mapping[int, int], rejected: Iterable[int]) -> None:
        """Mark samples that `write_rows` wrote, and those that were rejected."""
        marks = self._open_maps()[1]
        for index, checksum in checksums.items():
            marks[index] = _make_mark(index, DONE, checksum)
        for index in rejected:
            self._set_mark(index, REJECTED)
        marks.flush()  # type: ignore[attr-defined]

    def make_room(self) -> None:
        """Reserve the files' place on the disk. Raises ConfigError where there is none."""
        if self._marks_file.exists():
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
        claim_folder(parent, **CACHE)
        with lock_folder(self.folder, wait=True):
            if self._marks_file.exists():  # another run was faster
                return
            with replacing_folder(self.folder) as staging:
                _reserve_file(staging / self._features_file.name, self._features_bytes)
                _reserve_file(staging / self._marks_file.name, 8 * len(self.dataset))

    @property
    def _features_file(self) -> Path:
        return self.folder / "features.bin"

    @property
    def _marks_file(self) -> Path:
        return self.folder / "marks.bin"

    @property
    def _features_bytes(self) -> int:
        return max(1, self._count_rows) * self._row_bytes

    def _open_maps(self) -> tuple[np.ndarray, np.ndarray]:
        """Features (rows, E) and marks uint64 (samples,), mapped into memory."""
        if self._files is None:
            cut = _restore_size(self._features_file, self._features_bytes)
            cut |= _restore_size(self._marks_file, 8 * len(self.dataset))
            shape = (max(1, self._count_rows), self.spec.width)
            features = np.memmap(self._features_file, self.spec.dtype, mode="r+", shape=shape)
            self._files = features, np.memmap(self._marks_file, np.uint64, mode="r+")
            if cut or self._features_bytes <= CHECKED_BYTES:
                self._check_all()
        return self._files

    def _check_all(self) -> None:
        """Unmark every sample whose features are not those that were written."""
        for index in range(len(self.dataset)):
            if self._read_state(index) == DONE and not self._is_whole(index, self._rows_of(index)):
                log.warning("features of %s are damaged: made again", self.dataset.ids[index])
                self._set_mark(index, MISSING)

    def _rows_of(self, index: int) -> np.ndarray:
        return self._open_maps()[0][self._starts[index] : self._starts[index + 1]]

    def _read_state(self, index: int) -> int:
        """MISSING, DONE or REJECTED; a mark that was damaged is as good as none."""
        mark = int(self._open_maps()[1][index])
        return mark & 3 if mark == _make_mark(index, mark & 3, mark >> 32) else MISSING

    def _is_whole(self, index: int, rows: np.ndarray) -> bool:
        return int(self._open_maps()[1][index]) >> 32 == zlib.crc32(rows.tobytes())

    def _set_mark(self, index: int, state: int) -> None:
        checksum = zlib.crc32(self._rows_of(index).tobytes()) if state == DONE else 0
        self._open_maps()[1][index] = _make_mark(index, state, checksum)


def _make_mark(index: int, state: int, checksum: int) -> int:
    """Checksum of the features (32 bits), checksum of this mark (30), state (2); 0 is MISSING."""
    if state == MISSING:
        return 0
    own = zlib.crc32(struct.pack("<QBI", index, state, checksum)) & ~3
    return checksum << 32 | own | state


def _restore_size(path: Path, size: int) -> bool:
    """Bring a file that was cut to its size again; whether it had another."""
    cut = path.stat().st_size != size
    if cut:
        log.warning("%s was cut: what it lacks is made again", path)
        os.truncate(path, size)
    return cut


def _grid_or_none(spec: FeatureSpec, size_hw: SizeHW) -> TokenGrid | None:
    """The grid of an image of this size; None for a size that no image can have."""
    try:
        return spec.grid_of(size_hw) if min(size_hw) > 0 else None
    except DataError:
        return None


def _reserve_file(path: Path, size: int) -> None:
    """A file of zeros, its blocks taken now: a disk that fills up later would kill the process."""
    with open(path, "wb") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        file.truncate(size)
        file.flush()
        os.fsync(file.fileno())
