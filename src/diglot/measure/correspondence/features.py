"""The features of the pictures of pairs: each picture through each encoder once, kept on disk.

The cache is data.features.FeatureCache over the pictures; what is stored are unit vectors, so that
half precision neither overflows nor loses small features.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import torch
from PIL import Image
from torch.nn.functional import normalize

from diglot.core.errors import DataError
from diglot.core.geometry import View
from diglot.core.preprocess import Preprocess
from diglot.core.progress import Progress, Report, ignore_progress
from diglot.core.types import Sample, SizeHW
from diglot.data.features import FeatureCache, FeatureSpec
from diglot.data.pairs import Pair, PairImage
from diglot.data.records import Dataset
from diglot.data.rejected import Rejected, rejection_of
from diglot.measure.correspondence import law_compat
from diglot.measure.correspondence.config import Geometry
from diglot.measure.correspondence.maps import common_grid, join_maps
from diglot.measure.correspondence.matching import PairBatch
from diglot.models.tiling import view_pixels

_KEPT_BYTES = 256e6  # of maps in memory, beside a batch
_BATCH_BYTES = 64e6


class Pictures:
    """The distinct pictures of pairs, as the samples of a dataset that the feature cache takes."""

    def __init__(self, pairs: Sequence[Pair]) -> None:
        self._sides: dict[str, PairImage] = {}
        for pair in pairs:
            for side in (pair.source, pair.target):
                self._sides.setdefault(picture_id(side), side)
        self.ids = list(self._sides)
        self.index = {id: number for number, id in enumerate(self.ids)}
        self.sizes_hw = [(side.size_hw,) for side in self._sides.values()]

    @property
    def fingerprint(self) -> str:
        """Changes with the pictures: their paths, sizes and times, or their bytes."""
        stamps = [[id, *_stamp_file(side.image)] for id, side in self._sides.items()]
        return hashlib.sha256(json.dumps(stamps).encode()).hexdigest()

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> Sample:
        side = self._sides[self.ids[index]]
        return Sample.captioned(
            id=self.ids[index], image=side.image, size_hw=side.size_hw, caption=""
        )


def picture_id(side: PairImage) -> str:
    """The path of a picture, or the digest of its bytes."""
    if isinstance(side.image, Path):
        return str(side.image)
    return hashlib.sha256(side.image).hexdigest()[:32]


def _stamp_file(image: bytes | Path) -> list[int]:
    if isinstance(image, bytes):
        return []
    try:
        found = image.stat()
    except OSError:
        return []  # encoding it reports what is wrong
    return [found.st_size, found.st_mtime_ns]


class Features:
    """Maps of pictures under one or several encoders, joined on a common grid."""

    def __init__(
        self, pictures: Pictures, encoders: Sequence[Any], folder: Path, *, geometry: Geometry
    ) -> None:
        self._pictures, self._encoders = pictures, list(encoders)
        compat = geometry == "law_compat"
        mode = "squash" if compat else "pad"
        self._preprocess = [Preprocess(mode=mode, image_px=e.image_px) for e in self._encoders]
        self._normalisations = [
            _choose_normalisation(encoder, compat=compat) for encoder in self._encoders
        ]
        self._caches = [
            FeatureCache(folder, cast(Dataset, pictures), self._feature_spec(u))
            for u in range(len(self._encoders))
        ]
        views = self._views_of_size((1, 1))
        rows, columns = views[common_grid(views)].grid_hw
        self.map_bytes = rows * columns * sum(e.width for e in self._encoders) * 4
        kept = max(2, int(_KEPT_BYTES / self.map_bytes))
        self._map = lru_cache(maxsize=kept)(self._join_maps)

    def _feature_spec(self, u: int) -> FeatureSpec:
        encoder, preprocess = self._encoders[u], self._preprocess[u]
        normalisation = vars(self._normalisations[u])
        payload = [encoder.revision, preprocess.view_settings(), normalisation, "unit"]
        key = hashlib.sha256(json.dumps(payload, sort_keys=True).encode()).hexdigest()[:16]
        return FeatureSpec(
            key=key,
            grid_of=lambda size_hw: preprocess.token_grid(size_hw, patch_px=encoder.patch_px),
            width=encoder.width,
        )

    def build(self, rejected: Rejected, report: Report = ignore_progress) -> None:
        """Encode what is not there yet; a bad picture goes to `rejected`.

        Raises ConfigError where the disk has no room.
        """
        for u, cache in enumerate(self._caches):
            total, stage = len(self._pictures), f"features {u + 1}" if u else "features"
            done = total - len(cache.missing())
            cache.make_room()
            report(Progress(stage, done, total))
            for count in cache.build(
                lambda pictures, u=u: self._encode_pictures(u, pictures), rejected
            ):
                done += count
                report(Progress(stage, done, total))

    @torch.no_grad()
    def _encode_pictures(self, u: int, pictures: Sequence[Image.Image]) -> list[list[torch.Tensor]]:
        encoder = self._encoders[u]
        device = next(encoder.parameters()).device
        pixels = []
        for picture in pictures:
            grid = self._caches[u].spec.grid_of((picture.height, picture.width))
            pixels += view_pixels(picture, grid.views, self._normalisations[u])
        features = encoder(torch.stack(pixels).to(device)).float()
        return [[map_hwE] for map_hwE in normalize(features, dim=-1).cpu()]

    def _views_of_size(self, size_hw: SizeHW) -> list[View]:
        return [cache.spec.grid_of(size_hw).views[0] for cache in self._caches]

    def view(self, size_hw: SizeHW) -> View:
        """The view that a picture's map was made under: the common grid's."""
        views = self._views_of_size(size_hw)
        return views[common_grid(views)]

    def map(self, side: PairImage) -> torch.Tensor:
        """Unit features (h, w, E) of a picture. Raises DataError where it was rejected."""
        return self._map(self._pictures.index[picture_id(side)])

    def _join_maps(self, index: int) -> torch.Tensor:
        (size_hw,) = self._pictures.sizes_hw[index]
        maps = [cache.views(index)[0] for cache in self._caches]
        return join_maps(maps, self._views_of_size(size_hw), size_hw)

    def batches(
        self, pairs: Sequence[Pair], rejected: Rejected, report: Report = ignore_progress
    ) -> Iterator[PairBatch]:
        """Pairs in order, some megabytes of maps at a time; those without a map are rejected."""
        size = max(1, int(_BATCH_BYTES / (2 * self.map_bytes)))
        for start in range(0, len(pairs), size):
            chunk, maps = [], []
            for pair in pairs[start : start + size]:
                try:
                    maps.append((self.map(pair.source), self.map(pair.target)))
                    chunk.append(pair)
                except DataError as error:
                    rejected.note(rejection_of(pair.id, error))
            if chunk:
                yield self._make_batch(chunk, maps)
            done = min(start + size, len(pairs))
            report(Progress("matching", done, len(pairs)))

    def _make_batch(
        self, pairs: list[Pair], maps: list[tuple[torch.Tensor, torch.Tensor]]
    ) -> PairBatch:
        return PairBatch(
            pairs=pairs,
            source_BhwE=torch.stack([source for source, _ in maps]),
            target_BhwE=torch.stack([target for _, target in maps]),
            source_views=[self.view(pair.source.size_hw) for pair in pairs],
            target_views=[self.view(pair.target.size_hw) for pair in pairs],
        )


def _choose_normalisation(encoder: Any, *, compat: bool) -> Any:
    """How pixels are resampled and normalised: the encoder's own way, or the authors' for all."""
    if compat:
        return SimpleNamespace(
            mean=law_compat.MEAN, std=law_compat.STD, resample=law_compat.RESAMPLE
        )
    return SimpleNamespace(mean=encoder.mean, std=encoder.std, resample=encoder.resample)
