"""The frozen-feature cache of a run: its size is logged first, then it is filled."""

import contextlib
import functools
import logging
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from diglot.core.progress import Progress, Report, ignore_progress
from diglot.data.config import FeaturesConfig
from diglot.data.features import FeatureCache, FeatureSpec
from diglot.data.records import Dataset
from diglot.data.rejected import Notes
from diglot.models.processor import ViewProcessor
from diglot.models.views import encode_pictures, feature_key
from diglot.models.vlm import VLM

log = logging.getLogger(__name__)


def open_features(
    vlm: VLM,
    dataset: Dataset,
    config: FeaturesConfig,
    rejected: Notes,
    report: Report = ignore_progress,
    accelerator: Accelerator | None = None,
    *,
    first: int | None = None,
) -> FeatureCache:
    """The features of a dataset, or of its `first` samples; progress counts samples.

    Every process of `accelerator`, if given, makes its share. Raises ConfigError where the disk
    has no room.
    """
    cache = name_cache(vlm.encoder, vlm.processor, dataset, config)
    total = len(dataset) if first is None else min(first, len(dataset))
    missing = len(cache.missing(total))
    done, size_gb = total - missing, cache.size_bytes / 1e9
    if missing:
        message = "features of %d images, %d of them to make: %.3f GB in %s"
        log.info(message, total, missing, size_gb, cache.folder)
    with accelerator.main_process_first() if accelerator else contextlib.nullcontext():
        cache.make_room()
    vlm.encoder.eval()
    rank, world_size = _rank_and_world(accelerator)
    encode = functools.partial(encode_pictures, vlm)
    for count in cache.build(encode, rejected, first=total, process=rank, processes=world_size):
        done += count * world_size  # the others go at the same pace
        report(Progress("features", min(done, total), total))
    if accelerator:
        accelerator.wait_for_everyone()
    return cache


def name_cache(
    encoder: Any, processor: ViewProcessor, dataset: Dataset, config: FeaturesConfig
) -> FeatureCache:
    """The cache of a dataset's features, whether they are there or not."""
    spec = FeatureSpec(
        key=feature_key(encoder, processor),
        grid_of=processor.feature_grid,
        width=encoder.width,
        dtype=config.dtype,
    )
    return FeatureCache(Path(config.folder), dataset, spec)


def _rank_and_world(accelerator: Accelerator | None) -> tuple[int, int]:
    return (accelerator.process_index, accelerator.num_processes) if accelerator else (0, 1)
