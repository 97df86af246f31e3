"""A trained run, measured on held-out scenes once; the result is kept in the run's folder."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from diglot.core.progress import Report, rename_stages
from diglot.core.types import Sample
from diglot.data.config import FeaturesConfig
from diglot.data.features import FeatureCache, sample_picture
from diglot.data.records import Dataset
from diglot.data.rejected import Rejected, Rejection
from diglot.data.samples import usable_samples, use_sample
from diglot.files import locked, replace_text
from diglot.measure.config import MeasureConfig
from diglot.measure.projected import ProjectedSample, project_samples
from diglot.measure.runner import measure_alignment
from diglot.models.checkpoint import load_vlm
from diglot.models.features import open_features
from diglot.models.views import picture_views
from diglot.models.vlm import VLM

KEPT = "measures.json"
Measures = dict[str, dict[str, Any]]  # of one run, by key, as `Measure.to_json` tells them


@dataclass(frozen=True, kw_only=True)
class Scenes:
    """The two splits that a run is measured with, and the features of their pictures."""

    train: Dataset  # its names are the candidates of naming, its first scenes choose a threshold
    held_out: Dataset
    features: FeaturesConfig | None
    rejected: Path  # JSONL of records that cannot be used

    @property
    def names(self) -> list[str]:
        """Every name in the training scenes."""
        return sorted({label for scene in self.train.labels for label in scene if label})

    def project(
        self, vlm: VLM, dataset: Dataset, count: int | None, report: Report
    ) -> list[ProjectedSample]:
        """The first scenes of one of the splits as a model projects them; bad records are noted."""
        rejected = Rejected(self.rejected)
        views = self._views(vlm, dataset, count, rejected, report)
        first = range(min(count or len(dataset), len(dataset)))
        read = usable_samples(dataset, lambda sample: sample, rejected.note, indices=first)
        usable: list[Sample] = []
        index_of: dict[int, int] = {}  # by the sample itself: its id may stand twice
        for index, sample in read:
            made = use_sample(dataset, index, lambda _, index=index: views(index))
            if isinstance(made, Rejection):
                rejected.note(made)
                continue
            usable.append(sample)
            index_of[id(sample)] = index
        kind = "features" if self.features else "pixels"
        return project_samples(
            vlm, usable, lambda sample: views(index_of[id(sample)]), views_are=kind
        )

    def _views(
        self, vlm: VLM, dataset: Dataset, count: int | None, rejected: Rejected, report: Report
    ) -> Callable[[int], tuple[torch.Tensor, ...]]:
        if self.features is None:
            return lambda index: picture_views(vlm, sample_picture(dataset[index]))
        return shared_features(vlm, dataset, self.features, rejected, report, first=count).views


def shared_features(
    vlm: VLM,
    dataset: Dataset,
    config: FeaturesConfig,
    rejected: Rejected,
    report: Report,
    *,
    first: int | None = None,
) -> FeatureCache:
    """The features of a dataset's first samples; of several jobs one makes them, others wait."""
    stage, folder = f"features, {dataset.split}", Path(config.folder)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / ".lock", wait=True):
        return open_features(
            vlm, dataset, config, rejected, rename_stages(report, lambda _: stage), first=first
        )


def kept_measures(run: Path, config: MeasureConfig) -> Measures | None:
    """The measures of a run folder; None where they were never made, or with other settings."""
    path = run / KEPT
    told = json.loads(path.read_text()) if path.exists() else {}
    return told["measures"] if told.get("settings") == _plain(config) else None


def measure_run(
    run: Path, label: str, scenes: Scenes, config: MeasureConfig, report: Report, *, seed: int = 0
) -> Measures:
    """Measure the model in a run folder, or take the measures kept there.

    Every model that is given the same `seed` answers the same questions. Raises as
    `measure_alignment` does.
    """
    kept = kept_measures(run, config)
    if kept is not None:
        return kept
    vlm = trained_vlm(run)
    measures = measure_alignment(
        vlm,
        scenes.project(vlm, scenes.held_out, None, report),
        scenes.project(vlm, scenes.train, config.threshold_scenes, report),
        scenes.names,
        config,
        np.random.default_rng(seed),
        rename_stages(report, lambda stage: f"{stage} {label}"),
    )
    told = {key: measure.to_json(label) for key, measure in measures.items()}
    kept = {"settings": _plain(config), "measures": told}
    replace_text(run / KEPT, json.dumps(kept, indent=2) + "\n")
    return told


def trained_vlm(run: Path) -> VLM:
    """The model that a run ended with, on the GPU where there is one."""
    return load_vlm(run / "model").to(device())


def device() -> str:
    """Where a model of this process runs."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def _plain(config: MeasureConfig) -> Mapping[str, Any]:
    return json.loads(json.dumps(asdict(config)))
