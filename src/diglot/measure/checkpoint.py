"""A checkpoint, measured on held-out scenes once; a run's result is kept in its folder."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from diglot.config.paths import GIVE_CHECKPOINT
from diglot.core.errors import ConfigError
from diglot.core.progress import Report, rename_stages
from diglot.core.types import Sample
from diglot.data.config import CACHE, FeaturesConfig
from diglot.data.features import FeatureCache, sample_picture
from diglot.data.records import Dataset
from diglot.data.rejected import Rejected, Rejection, none_usable_error
from diglot.data.samples import check_masks, usable_samples, use_sample
from diglot.files import claim_folder, explain_missing, lock_file, read_kept, reuse_or_make
from diglot.measure.config import MeasureConfig, feature_scenes, training_scenes
from diglot.measure.kept import Measures, measure_key
from diglot.measure.plan import Subject
from diglot.measure.projected import ProjectedSample, project_samples
from diglot.measure.row_store import RowStore
from diglot.measure.runner import measure_alignment
from diglot.models.adapters.stock import StockProjector, is_stock
from diglot.models.checkpoint import CONFIG, load_config, load_vlm
from diglot.models.device_map import move_to_devices
from diglot.models.export.flow import load_checkpoint, open_config
from diglot.models.features import open_features
from diglot.models.views import picture_views
from diglot.models.vlm import VLM, build_vlm

KEPT = "measures.json"


@dataclass(frozen=True, kw_only=True)
class Scenes:
    """The two splits that a run is measured with, and the features of their pictures."""

    train: Dataset | None  # its names are the candidates of naming, its first choose a threshold
    held_out: Dataset
    features: FeaturesConfig | None
    rejected: Path  # JSONL of records that cannot be used
    first: int | None = None  # only the first so many held-out samples

    @property
    def names(self) -> list[str]:
        """Every name in the training scenes, or without them in the held-out ones."""
        labels = (self.held_out if self.train is None else self.train).labels
        return sorted({label for scene in labels for label in scene if label})

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """Digests of the data that figures depend on."""
        data = (self.held_out, self.train)
        digests = tuple(dataset.fingerprint for dataset in data if dataset is not None)
        return digests if self.first is None else (*digests, f"first {self.first}")

    def training(
        self, vlm: VLM, count: int, report: Report, *, store: RowStore | None = None
    ) -> list[ProjectedSample]:
        """The first training scenes, projected; none where there are none, or none is wanted."""
        if self.train is None or not count:
            return []
        return self.project(vlm, self.train, count, report, store=store)

    def project(
        self,
        vlm: VLM,
        dataset: Dataset,
        count: int | None,
        report: Report,
        *,
        keep_features: int = 0,
        store: RowStore | None = None,
    ) -> list[ProjectedSample]:
        """The first scenes of one of the splits as a model projects them; bad records are noted."""
        rejected = Rejected(self.rejected)
        views = self._open_views(vlm, dataset, count, rejected, report)
        first = range(min(count or len(dataset), len(dataset)))
        read = usable_samples(dataset, check_masks, rejected.note, indices=first)
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
            vlm,
            usable,
            lambda sample: views(index_of[id(sample)]),
            views_are=kind,
            keep_features=keep_features,
            store=store,
        )

    def _open_views(
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
    claim_folder(folder, **CACHE)
    with lock_file(folder / ".lock", wait=True):
        return open_features(
            vlm, dataset, config, rejected, rename_stages(report, lambda _: stage), first=first
        )


def run_key(
    run: Path, fingerprints: Sequence[str], config: MeasureConfig, *, seed: int = 0
) -> str | None:
    """What the measures of a run folder are kept under; None where no model was trained yet."""
    model = run / "model"
    return measure_key(model, fingerprints, config, seed=seed) if model.is_dir() else None


def kept_measures(
    run: Path, fingerprints: Sequence[str], config: MeasureConfig, *, seed: int = 0
) -> Measures | None:
    """The measures of a run folder; None where they were never made, or of other weights, data or
    settings."""
    key = run_key(run, fingerprints, config, seed=seed)
    return read_kept(run / KEPT, key) if key else None


def measure_run(
    run: Path, label: str, scenes: Scenes, config: MeasureConfig, report: Report, *, seed: int = 0
) -> Measures:
    """Measure the model in a run folder, or take the measures kept there.

    Raises as `measure_model` does.
    """
    return reuse_or_make(
        run / KEPT,
        measure_key(run / "model", scenes.fingerprints, config, seed=seed),
        lambda: measure_model(run / "model", label, scenes, config, report, seed=seed),
    )


def measure_model(
    model: Path, label: str, scenes: Scenes, config: MeasureConfig, report: Report, *, seed: int = 0
) -> Measures:
    """The chosen measures of a checkpoint folder, by key, under a label.

    Every model that is given the same `seed` answers the same questions. Raises as
    `measure_alignment` does, and ConfigError for a checkpoint that cannot be read.
    """
    subject = open_subject(move_to_devices(load_vlm(model)), scenes, config, report)
    return measure_subject(subject, label, report, seed=seed)


def open_subject(vlm: VLM, scenes: Scenes, config: MeasureConfig, report: Report) -> Subject:
    """A model with the scenes that it is measured on, projected.

    Visual tokens beyond `memory_mb` are kept in a temporary file beside the rejected records.
    Raises DataError where all held-out records are rejected.
    """
    store = RowStore(scenes.rejected.parent, config.memory_mb << 20)
    keep = feature_scenes(config)
    held_out = scenes.project(
        vlm, scenes.held_out, scenes.first, report, keep_features=keep, store=store
    )
    if not held_out:
        where = f"{scenes.held_out.folder}, {scenes.held_out.split}"
        raise none_usable_error(where, scenes.rejected)
    return Subject(
        vlm=vlm,
        held_out=held_out,
        training=scenes.training(vlm, training_scenes(config), report, store=store),
        names=scenes.names,
        options=config,
    )


def measure_subject(subject: Subject, label: str, report: Report, *, seed: int = 0) -> Measures:
    """The chosen measures of a model, by key, under a label. Raises as `measure_alignment` does."""
    measures = measure_alignment(
        subject, seed=seed, report=rename_stages(report, lambda stage: f"{stage} {label}")
    )
    return {key: measure.to_json(label) for key, measure in measures.items()}


def checkpoint_folder(path: Path) -> Path:
    """The folder of a checkpoint that `path` is, or that a run folder holds; or a stock one's.

    Raises ConfigError where there is none.
    """
    for folder in (path, path / "model"):
        if (folder / CONFIG).is_file():
            return folder
    if path.is_dir() and is_stock(str(path)):
        return path
    raise ConfigError(
        f"no checkpoint here: {f'no {CONFIG}' if path.is_dir() else explain_missing(path)}",
        where=str(path),
        fix=GIVE_CHECKPOINT,
    )


def open_checkpoint(folder: Path) -> VLM:
    """The model of a `checkpoint_folder`, LoRA merged, in eval mode, on GPUs if there are any."""
    return move_to_devices(load_checkpoint(folder, open_config(folder)))


def randomise_projector(vlm: VLM, model: Path, *, seed: int) -> VLM:
    """The same model with a projector that learned nothing: the baseline of any measure.

    Ours is as it was before training. How a stock one began is in no checkpoint (and Gemma 3's
    class begins at zero): the numbers of each of its weights are shuffled.
    """
    if isinstance(vlm.projector, StockProjector):
        vlm.projector.shuffle_weights(torch.Generator().manual_seed(seed))
        return vlm
    fresh = build_vlm(load_config(model), seed=seed, language=vlm.language)
    vlm.projector = fresh.projector.to(next(vlm.language.parameters()).device)
    return vlm.eval()


def trained_vlm(run: Path) -> VLM:
    """The model that a run ended with, on the GPU where there is one."""
    return move_to_devices(load_vlm(run / "model"))
