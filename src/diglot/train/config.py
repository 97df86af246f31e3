"""The configuration of one training stage: pretraining or SFT, the same type for both."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from diglot.config.parts import Part
from diglot.config.paths import MAKE_DATA
from diglot.config.ranges import (
    ClosedUnitInterval,
    Epochs,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Seed,
    ShareBelowOne,
    Workers,
    check_ranges,
)
from diglot.config.read import expand_home, read_dataclass
from diglot.config.recipes import merge_recipes, read_recipe
from diglot.core.errors import ConfigError
from diglot.data.config import DataSource, FeaturesConfig, check_cache
from diglot.files import check_readable_folder, refuse_missing_folder
from diglot.models.config import Trainable, VLMConfig, check_model_paths, read_parts
from diglot.train.early_stop import EarlyStop
from diglot.train.schedule import Schedule, read_schedule


class ObjectivePart(Part):
    """An objective with its weight in the loss: a file of objectives, or a module of the user's."""

    package = "diglot.objectives"
    where = "objective"
    beside: ClassVar[Mapping[str, Any]] = {"weight": 1.0}

    @property
    def weight(self) -> Schedule:
        """Its weight over the run."""
        return read_schedule(self.settings.get("weight", 1.0), where=f"{self.where}.weight")

    def check(self) -> Self:
        """The same part. Raises ConfigError for wrong settings, its weight's too."""
        self.weight  # noqa: B018  read here so that a wrong one is found
        return super().check()


class MixedPart(ObjectivePart):
    """An objective that takes turns with the main one."""

    where = "mix"
    beside: ClassVar[Mapping[str, Any]] = {"weight": 1.0, "share": 1.0}

    @property
    def share(self) -> float:
        """Samples for each sample of the main objective. Raises ConfigError unless above 0."""
        share = self.settings.get("share", 1.0)
        if isinstance(share, bool) or not isinstance(share, int | float) or not share > 0:
            raise ConfigError(
                "not a share",
                expected="a number above 0: samples for each sample of the objective",
                got=share,
                where=f"{self.where}.share",
            )
        return float(share)

    def check(self) -> Self:
        """The same part. Raises ConfigError for wrong settings, weight and share too."""
        self.share  # noqa: B018  read here so that a wrong one is found
        return super().check()

    def as_dict(self) -> dict[str, Any]:
        """Every setting spelled out, the share as a float."""
        return {**super().as_dict(), "share": self.share}


@dataclass(frozen=True, kw_only=True)
class OptimConfig:
    """AdamW under a cosine with warm-up (MMCS Table 5)."""

    lr: PositiveFloat = 1e-3
    """Peak learning rate."""
    projector_lr: PositiveFloat | None = None
    """Peak learning rate of the projector; null = lr."""
    language_lr: PositiveFloat | None = None
    """Peak learning rate of the language model, or of its adapters; null = lr."""
    encoder_lr: PositiveFloat | None = None
    """Peak learning rate of the encoder; null = lr."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """What follows the warm-up: a fall to 0 along a cosine or a line, or no fall."""
    weight_decay: NonNegativeFloat = 0.0
    """AdamW's decoupled weight decay, of the matrices that learn; biases and norms are spared."""
    beta1: ShareBelowOne = 0.9
    """Decay of the mean of gradients."""
    beta2: ShareBelowOne = 0.999
    """Decay of the mean of squared gradients."""
    eps: NonNegativeFloat = 1e-8
    """Added to the root of the mean of squared gradients."""
    warmup: ClosedUnitInterval = 0.03
    """Share of the steps in which the learning rate rises."""
    clip: NonNegativeFloat = 1.0
    """Largest gradient norm; 0 = no clipping."""

    def __post_init__(self) -> None:
        check_ranges(self, where="optim")

    @property
    def rates(self) -> dict[str, float]:
        """The peak rates that parts have of their own."""
        own = {p: getattr(self, f"{p}_lr") for p in ("encoder", "projector", "language")}
        return {part: rate for part, rate in own.items() if rate is not None}


@dataclass(frozen=True, kw_only=True)
class StageConfig:
    """One run of training."""

    data: list[DataSource | str] | str
    """Dataset folder, or several: a list of folders, or of path, weight, split and labels, of
    which only the path is needed. Captioned images and conversations may be mixed."""
    out: str
    """Run folder."""
    split: str = "train"
    """Which split of the dataset, or of those that name none."""
    objective: ObjectivePart = field(default_factory=lambda: ObjectivePart("caption"))
    """What is learned; beside its own options it has a weight, as those under `plus`."""
    plus: dict[str, Any] = field(default_factory=dict)
    """Objectives whose losses are added on the same samples, by name, each with its options and a
    weight: a number, or schedule (constant, linear, cosine, step), start, end, begin, until. They
    supply no sequence. null takes one away."""
    mix: dict[str, Any] = field(default_factory=dict)
    """Objectives that take turns with `objective`, by name, each with its options, a weight, and
    its share: documents for each document of `objective`, evenly in every batch."""
    labels: str | None = None
    """Folder of patch labels that `diglot label` made of the data, for token_contrastive. Of
    several datasets each names its own."""
    model: VLMConfig = field(default_factory=VLMConfig)
    """Encoder, projector, language model, and how an image becomes views."""
    start_from: str | None = None
    """Checkpoint folder whose weights the run starts from; of a stock vision-language model, folder
    or hub id, the whole model is taken."""
    start_language: str | None = None
    """Checkpoint folder of which the run takes what the language model learned, say in words alone:
    weights, adapters, chat template. For the same language model, beside a start_from that has a
    projector alone."""
    trainable: Trainable = field(default_factory=Trainable)
    """Which parts learn."""
    optim: OptimConfig = field(default_factory=OptimConfig)
    """The optimizer and its learning rate over the run."""
    epochs: Epochs = 1
    """Passes over the data. More than a run in `out` has had make it longer; see lengthen."""
    max_steps: PositiveInt | None = None
    """End after so many optimizer steps, if the passes have more; the rates fall by then."""
    lengthen: Literal["exact", "stretch"] = "exact"
    """How a run in `out` continues with more epochs or a later max_steps: exact = where neither
    rates nor weights depend on its length (constant schedules, no warm-up); stretch = from here on
    they are those of a run so long from its start, so the learning rate rises again."""
    max_samples: PositiveInt | None = None
    """Use the first so many samples of the data, or of each of several datasets."""
    global_batch: PositiveInt = 128
    """Documents per optimizer step, over all processes: one a sample, and those of `mix`."""
    micro_batch: PositiveInt = 4
    """Samples of one forward pass, per process."""
    row_tokens: PositiveInt = 16384
    """Documents are packed into rows of at most so many positions. One long row has no padding, and
    costs no more under split attention; with a dense mask (sdpa) choose a few documents' length.
    A longer document has a row of its own: nothing is cut."""
    precision: Literal["no", "bf16", "fp16", "bfloat16", "float16", "float32", "fp32"] = "no"
    """Autocast to half precision; "no" is float32."""
    gradient_checkpointing: bool = False
    """Keep each layer's input alone and compute the layer again on the way back: less memory, about
    a third more time."""
    seed: Seed = 0
    """Of the projector's start, the order of samples and every draw."""
    workers: Workers = 0
    """Processes that prepare samples beside the one that trains."""
    worker_start: Literal["fork", "spawn", "forkserver"] | None = None
    """How they start; null = fork where the system has it, else spawn. spawn and forkserver take
    seconds, and share no thread or lock with the process that trains."""
    features: FeaturesConfig | None = None
    """Keep a frozen encoder's features, so that each image is encoded once."""
    checkpoint_every: PositiveInt = 100
    """Optimizer steps between saved states."""
    keep_every: NonNegativeInt = 0
    """Optimizer steps between models that stay in kept/, the first at the start, for `diglot
    evaluate --kept`; 0 = none."""
    trackers: list[str] = field(default_factory=list)
    """Accelerate's trackers that the figures go to beside metrics.jsonl and TensorBoard: wandb,
    trackio, mlflow, ...; each package installed and logged in to."""
    probe_every: NonNegativeInt = 0
    """Optimizer steps between evaluations on the probe set; 0 = none. Of several datasets only the
    first is probed, whatever their weights."""
    probe_split: str = "test"
    """Split of the dataset folder, or of the first of several, that the probe set is taken from."""
    probe_samples: PositiveInt = 16
    """Size of the probe set: the first samples of its split."""
    probe_measures: dict[str, Any] = field(
        default_factory=lambda: {"regions": {}, "caption_nll": {}}
    )
    """Measures of alignment of the probe, as of `diglot measure`, each with its settings:
    {embedding: {}, presence: {}} gives TACS and presence as they form."""
    probe_share: ClosedUnitInterval = 0.05
    """Share of the run's time that probes may take together: one that is due beyond it is left
    out, but for the first and the last."""
    early_stop: EarlyStop | None = None
    """End the run when a figure of the probe no longer gets better."""

    def __post_init__(self) -> None:
        names = {"bfloat16": "bf16", "float16": "fp16", "float32": "no", "fp32": "no"}
        short = names.get(self.precision, self.precision)
        object.__setattr__(self, "precision", short)
        expand_home(self, "data", "out", "labels", "start_from", "start_language")
        _check_data(self)
        read_parts(self, objective=ObjectivePart)
        object.__setattr__(self, "plus", ObjectivePart.read_all(self.plus, where="plus"))
        object.__setattr__(self, "mix", MixedPart.read_all(self.mix, where="mix"))
        check_ranges(self)
        if self.features and self.trainable.encoder:
            raise ConfigError(
                "cached features need a frozen encoder",
                where="features, trainable.encoder",
                fix="Leave features out, or freeze the encoder.",
            )

    @property
    def sources(self) -> tuple[DataSource, ...]:
        """The datasets of `data`, each with its split and labels."""
        if isinstance(self.data, str):
            return (DataSource(path=self.data, split=self.split, labels=self.labels),)
        return tuple(replace(s, split=s.split or self.split) for s in map(_read_source, self.data))


def _read_source(source: DataSource | Mapping[str, Any] | str) -> DataSource:
    if isinstance(source, str):
        return DataSource(path=source)
    return (
        read_dataclass(DataSource, source, where="data") if isinstance(source, Mapping) else source
    )


def _check_data(config: StageConfig) -> None:
    """Read the list of datasets.

    Raises ConfigError for an empty one, a dataset given twice, labels that name no dataset.
    """
    if isinstance(config.data, str):
        return
    object.__setattr__(config, "data", [_read_source(source) for source in config.data])
    if not config.data:
        raise ConfigError("no dataset", expected="a folder, or a list of them", where="data")
    if config.labels:
        raise ConfigError(
            "which of the datasets are these labels of?",
            got=config.labels,
            where="labels",
            fix="Give each dataset of `data` its own: {path: ..., labels: ...}.",
        )
    counts = Counter((source.path, source.split) for source in config.sources)
    (path, split), count = counts.most_common(1)[0]
    if count > 1:
        raise ConfigError(
            "a dataset is given twice",
            got=f"{path}, split {split}",
            where="data",
            fix="Give it once, with a larger weight.",
        )


def resolve_stage(config: StageConfig) -> StageConfig:
    """The same stage, the settings of every part read. Raises ConfigError for a wrong one."""
    members = [config.objective, *config.plus.values(), *config.mix.values()]
    for part in (*members, config.model.encoder, config.model.projector):
        part.check()
    return config


def check_paths(config: StageConfig) -> None:
    """Raises ConfigError for a folder that is not there; loads nothing, so that it is quick."""
    for path in (Path(source.path) for source in config.sources):
        is_recipe = path.suffix in (".yaml", ".yml")
        fix = f"A recipe is given as --config {path}." if is_recipe else MAKE_DATA
        check_readable_folder(path, "dataset folder", fix=fix)
    check_model_paths(config.model)
    if config.features:
        check_cache(Path(config.features.folder), out=Path(config.out))
    check_start("start_from", config.start_from)
    check_start("start_language", config.start_language)


def check_start(name: str, folder: str | None) -> None:
    """Raises ConfigError for a checkpoint that is not there, or is a run's whole folder."""
    if folder is None:
        return
    refuse_missing_folder(folder, name)
    if (Path(folder) / "model" / "vlm.json").is_file():
        raise ConfigError(
            "a run's folder, not its checkpoint",
            where=f"{name}: {folder}",
            fix=f"Give the model in it: --{name} {folder}/model.",
        )


PARTS = {"objective": "caption", "model.encoder": "efficientnet_lite0", "model.projector": "mlp"}
SECTIONS = ("model", "model.language", "optim", "plus", "mix", "trainable")


def merge_stage(below: Any, above: Any) -> Any:
    """One stage's settings merged over another's. Raises ConfigError for a part that is none."""
    return merge_recipes(below, above, parts=PARTS)


def stage_config(settings: Mapping[str, Any], *, where: str | None = "recipe") -> StageConfig:
    """The stage that merged settings describe. Raises ConfigError naming `where` and the field."""
    check_sections(settings)
    return read_dataclass(StageConfig, settings, where=where)


def stage_of_recipes(recipes: Sequence[str], *, option: str) -> StageConfig:
    """The stage of these recipes, later ones over earlier, whatever it is trained on.

    Raises ConfigError naming the recipes for a wrong one; `option` is what named them.
    """
    read = [read_recipe(name, option=option) for name in recipes]
    try:
        settings: Any = {}
        for one in read:
            settings = merge_stage(settings, one)
        return resolve_stage(stage_config({**settings, "data": "data", "out": "out"}, where=None))
    except ConfigError as error:
        raise ConfigError(str(error), where=name_recipes(recipes)) from error


def name_recipes(recipes: Sequence[str]) -> str:
    """The place that a message names for a stage of several recipes."""
    return " + ".join(recipes)


def check_sections(settings: Mapping[str, Any]) -> None:
    """Raises ConfigError where a section of the stage is no mapping."""
    for path in SECTIONS:
        value: Any = settings
        for key in path.split("."):
            value = value.get(key, {}) if isinstance(value, Mapping) else {}
        if not isinstance(value, Mapping):
            raise ConfigError("expected fields", got=value, where=path)
