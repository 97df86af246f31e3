"""The frozen-feature cache of a run: its size is told first, then it is filled."""

import logging
from collections.abc import Callable
from pathlib import Path

from accelerate import PartialState

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
    """The features of a whole dataset; `report(done, total)` counts samples while they are made.

    Every process of a run makes its share. Raises ConfigError where the disk has no room.
    """
    spec = FeatureSpec(
        key=feature_key(vlm),
        grid_of=vlm.feature_grid,
        width=vlm.encoder.width,
        dtype=config.dtype,
    )
    cache = FeatureCache(Path(config.folder), dataset, spec)
    world, total, missing = PartialState(), len(dataset), len(cache.missing())
    done, size_gb = total - missing, cache.size_bytes / 1e9
    if missing:
        told = "features of %d images, %d of them to make: %.3f GB in %s"
        log.info(told, total, missing, size_gb, cache.folder)
    with world.main_process_first():
        cache.make_room()
    vlm.encoder.eval()
    share = {"process": world.process_index, "processes": world.num_processes}
    for count in cache.build(lambda pictures: encode_pictures(vlm, pictures), rejected, **share):
        done += count * world.num_processes  # the others go at the same pace
        report(min(done, total), total)
    world.wait_for_everyone()
    return cache
