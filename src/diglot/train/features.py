"""The frozen-feature cache of a run: its size is told first, then it is filled."""

import logging
from collections.abc import Callable
from pathlib import Path

from diglot.data.features import FeatureCache, FeatureSpec
from diglot.data.records import Dataset
from diglot.data.rejected import Rejected
from diglot.models.views import encode_pictures, feature_key
from diglot.models.vlm import VLM
from diglot.train.config import FeaturesConfig

log = logging.getLogger(__name__)


def open_features(
    vlm: VLM,
    dataset: Dataset,
    config: FeaturesConfig,
    rejected: Rejected,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> FeatureCache:
    """The features of a whole dataset; `report(done, total)` counts samples while they are made."""
    spec = FeatureSpec(
        key=feature_key(vlm),
        grid_of=vlm.feature_grid,
        width=vlm.encoder.width,
        dtype=config.dtype,
    )
    cache = FeatureCache(Path(config.folder), dataset, spec)
    total, done = len(dataset), len(dataset) - len(cache.missing())
    if done < total:
        log.info(
            "features of %d images: %.2f GB in %s", total, cache.size_bytes / 1e9, cache.folder
        )
    vlm.encoder.eval()
    for count in cache.build(lambda pictures: encode_pictures(vlm, pictures), rejected):
        done += count
        report(done, total)
    return cache
