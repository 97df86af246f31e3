"""A few measures on a few held-out samples, cheap enough to run while training."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from diglot.core.errors import ConfigError
from diglot.core.types import Sample
from diglot.data.features import sample_picture
from diglot.data.records import Dataset, open_dataset
from diglot.data.rejected import Rejection
from diglot.data.samples import check_masks, usable_samples
from diglot.measure.config import MeasureConfig, check_measures, feature_scenes
from diglot.measure.plan import Subject
from diglot.measure.projected import project_samples
from diglot.measure.runner import measure_alignment
from diglot.models.config import Frame
from diglot.models.views import encode_pictures, picture_views
from diglot.models.vlm import VLM

log = logging.getLogger(__name__)

Probe = Callable[[VLM], Mapping[str, float]]
KEYS = ("region_matching", "region_naming", "caption_nll")


def make_probe(
    samples: Sequence[Sample],
    *,
    frame: Frame | None = None,
    measures: Mapping[str, Any] | None = None,
) -> Probe:
    """A probe on these samples: the value of each figure that can be measured on them, by key.

    `frame` is the text around image and caption that the objective trains with. `measures` are
    those of `diglot measure` with their settings, or left out region measures and caption NLL. A
    frozen encoder sees each picture once, at the first call. Raises ConfigError for an unknown
    measure.
    """
    names = sorted({region.name for sample in samples for region in sample.regions})
    scenes = {"scenes": len(samples)}
    chosen = measures or {"regions": scenes, "caption_nll": scenes}
    # intervals are not recorded: a value alone needs no draws
    config = MeasureConfig(measures=dict(chosen), frame=frame or Frame(), bootstrap_draws=1)
    check_measures(config)
    keep_features = feature_scenes(config)
    cached: dict[str, tuple[torch.Tensor, ...]] = {}

    def run(vlm: VLM) -> dict[str, float]:
        frozen = not any(p.requires_grad for p in vlm.encoder.parameters())
        if frozen and not cached:
            for sample in samples:
                cached[sample.id] = tuple(encode_pictures(vlm, [sample_picture(sample)])[0])

        def views(sample: Sample) -> tuple[torch.Tensor, ...]:
            return cached[sample.id] if frozen else picture_views(vlm, sample_picture(sample))

        projected = project_samples(
            vlm,
            samples,
            views,
            views_are="features" if frozen else "pixels",
            keep_features=keep_features,
        )
        subject = Subject(vlm=vlm, held_out=projected, names=names, options=config)
        measured = measure_alignment(subject)
        values = {key: measure.estimate.value for key, measure in measured.items()}
        return {key: value for key, value in values.items() if value is not None}

    return run


def probe_on(
    folder: Path,
    split: str,
    samples: int,
    *,
    frame: Frame | None = None,
    measures: Mapping[str, Any] | None = None,
) -> Probe:
    """A probe on the first usable samples of a dataset's split.

    A record that cannot be used is passed over with a warning. Raises ConfigError where the split
    is missing or holds none that can.
    """
    if samples < 1:
        raise ConfigError("must be at least 1", got=samples, where="probe_samples")
    dataset = open_dataset(folder, split)
    usable = first_usable(dataset, range(len(dataset)), samples)
    if not usable:
        raise ConfigError(
            f"split {split!r} holds no usable sample to probe with", where=str(folder)
        )
    return make_probe(usable, frame=frame, measures=measures)


def first_usable(dataset: Dataset, indices: Iterable[int], count: int) -> list[Sample]:
    """The first `count` samples, in this order, whose record, masks and picture can be read."""

    def read(sample: Sample) -> Sample:
        sample_picture(sample)
        return check_masks(sample)

    def note(rejection: Rejection) -> None:
        log.warning("not in the probe set: %s", rejection.detail)

    found = usable_samples(dataset, read, note, indices=indices)
    return [sample for _, sample in islice(found, count)]
