"""A few measures on a few held-out samples, cheap enough to run while training."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch

from diglot.core.errors import ConfigError
from diglot.core.types import Sample
from diglot.data.features import sample_picture
from diglot.data.records import open_dataset
from diglot.measure.alignment import probe
from diglot.measure.config import MeasureConfig
from diglot.measure.seen import see
from diglot.models.views import encode_pictures, picture_views
from diglot.models.vlm import VLM

Probe = Callable[[VLM], Mapping[str, float]]
KEYS = ("region_matching", "region_naming", "caption_nll")


def make_probe(samples: list[Sample]) -> Probe:
    """A probe on these samples: value of each of KEYS that can be measured on them.

    A frozen encoder sees each picture once, at the first call.
    """
    names = sorted({region.name for sample in samples for region in sample.regions})
    cached: dict[str, tuple[torch.Tensor, ...]] = {}

    def run(vlm: VLM) -> dict[str, float]:
        frozen = not any(p.requires_grad for p in vlm.encoder.parameters())
        if frozen and not cached:
            for sample in samples:
                cached[sample.id] = tuple(encode_pictures(vlm, [sample_picture(sample)])[0])

        def views(sample: Sample) -> tuple[torch.Tensor, ...]:
            return cached[sample.id] if frozen else picture_views(vlm, sample_picture(sample))

        seen = see(vlm, samples, views, views_are="features" if frozen else "pixels")
        rng = np.random.default_rng(0)
        measures = probe(vlm, seen, names, MeasureConfig(), rng, scenes=len(samples))
        values = {key: measures[key].estimate.value for key in KEYS if key in measures}
        return {key: value for key, value in values.items() if value is not None}

    return run


def probe_on(folder: Path, split: str, samples: int) -> Probe:
    """A probe on the first samples of a dataset's split. Raises ConfigError where it has none."""
    if samples < 1:
        raise ConfigError("must be at least 1", got=samples, where="probe_samples")
    dataset = open_dataset(folder, split)
    return make_probe([dataset[i] for i in range(min(samples, len(dataset)))])
