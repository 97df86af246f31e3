"""The configuration of one training stage: pretraining or SFT, the same type for both."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from jsonargparse import ArgumentError, ArgumentParser

from diglot.config.messages import one_line
from diglot.config.recipes import merge
from diglot.core.errors import ConfigError, DiglotError
from diglot.data.features import FeaturesConfig
from diglot.models.trainable import Trainable
from diglot.models.vlm import Part, VLMConfig, resolve
from diglot.train.mixture import resolve_member, resolve_members


@dataclass(frozen=True, kw_only=True)
class OptimConfig:
    """AdamW under a cosine with warm-up (MMCS Table 5)."""

    lr: float = 1e-3
    """Peak learning rate."""
    weight_decay: float = 0.0
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    warmup: float = 0.03
    """Share of the steps in which the learning rate rises."""
    clip: float = 1.0
    """Largest gradient norm; 0 = no clipping."""

    def __post_init__(self) -> None:
        fine = {
            "lr": self.lr > 0,
            "weight_decay": self.weight_decay >= 0,
            "beta1": 0 <= self.beta1 < 1,
            "beta2": 0 <= self.beta2 < 1,
            "eps": self.eps >= 0,
            "warmup": 0 <= self.warmup <= 1,
            "clip": self.clip >= 0,
        }
        for name, is_fine in fine.items():
            if not is_fine:
                raise ConfigError("out of range", got=getattr(self, name), where=f"optim.{name}")


@dataclass(frozen=True, kw_only=True)
class StageConfig:
    """One run of training."""

    data: str
    """Dataset folder."""
    out: str
    """Run folder."""
    split: str = "train"
    """Which split of the dataset."""
    objective: Part = "caption"
    """caption, code_switch, or a module of your own; its options as objective.OPTION, its weight as
    objective.weight."""
    plus: dict[str, Any] = field(default_factory=dict)
    """Objectives whose losses are added on the same samples, by name, each with its options and a
    weight: a number, or schedule (constant, linear, cosine, step), start, end, begin, until. They
    supply no sequence: patch_aligned, token_contrastive. null takes one away."""
    mix: dict[str, Any] = field(default_factory=dict)
    """Objectives that take turns with `objective`, by name, each with its options, a weight, and
    its share: documents for each document of `objective`, evenly in every batch."""
    labels: str | None = None
    """Folder of patch labels that `diglot label` made of the data, for token_contrastive."""
    model: VLMConfig = field(default_factory=VLMConfig)
    start_from: str | None = None
    """Checkpoint folder whose weights the run starts from."""
    trainable: Trainable = field(default_factory=Trainable)
    optim: OptimConfig = field(default_factory=OptimConfig)
    epochs: int = 1
    """Passes over the data."""
    max_samples: int | None = None
    """Use the first so many samples of the data."""
    global_batch: int = 128
    """Documents per optimizer step, over all processes: one a sample, and those of `mix`."""
    micro_batch: int = 4
    """Samples of one forward pass, per process."""
    row_tokens: int = 16384
    """Documents are packed into rows of at most so many positions. One long row has no padding, and
    costs no more under split attention; with a dense mask (sdpa) choose a few documents' length."""
    precision: Literal["no", "bf16", "fp16"] = "no"
    """Autocast to half precision; "no" is float32."""
    seed: int = 0
    """Of the projector's start, the order of samples and every draw."""
    workers: int = 0
    """Processes that prepare samples beside the one that trains."""
    features: FeaturesConfig | None = None
    """Keep a frozen encoder's features, so that each image is encoded once."""
    checkpoint_every: int = 100
    """Optimizer steps between saved states."""
    probe_every: int = 0
    """Optimizer steps between evaluations on the probe set; 0 = none."""
    probe_split: str = "test"
    """Split of the same dataset folder that the probe set is taken from."""
    probe_samples: int = 16
    """Size of the probe set: the first samples of its split."""

    def __post_init__(self) -> None:
        for name in ("epochs", "global_batch", "micro_batch", "row_tokens", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ConfigError("must be at least 1", got=getattr(self, name), where=name)
        for name in ("workers", "probe_every"):
            if getattr(self, name) < 0:
                raise ConfigError("must be at least 0", got=getattr(self, name), where=name)
        if self.max_samples is not None and self.max_samples < 1:
            raise ConfigError("must be at least 1", got=self.max_samples, where="max_samples")
        if self.features and self.trainable.encoder:
            raise ConfigError(
                "cached features need a frozen encoder",
                where="features, trainable.encoder",
                fix="Leave features out, or freeze the encoder.",
            )


def resolve_stage(config: StageConfig) -> StageConfig:
    """The same stage with all settings of its parts spelled out. Raises ConfigError as they do."""
    return replace(
        config,
        objective=resolve_member(config.objective, where="objective"),
        plus=resolve_members(config.plus, where="plus"),
        mix=resolve_members(config.mix, where="mix"),
        model=resolve(config.model),
    )


PARTS = {
    "objective": StageConfig.__dataclass_fields__["objective"].default,
    "model.encoder": VLMConfig().encoder,
    "model.projector": VLMConfig().projector,
}
SECTIONS = ("model", "model.language", "optim", "plus", "mix", "trainable")


def merge_stage(below: Any, above: Any) -> Any:
    """One stage's settings laid over another's. Raises ConfigError for a part that is none."""
    return merge(below, above, parts=PARTS)


def stage_config(told: Mapping[str, Any], *, where: str = "recipe") -> StageConfig:
    """The stage that merged settings describe. Raises ConfigError naming `where` and the field."""
    check_sections(told)
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(StageConfig, "stage")
    try:
        made: Any = parser.instantiate_classes(parser.parse_object({"stage": dict(told)}))
        return made.stage
    except DiglotError as error:
        raise ConfigError(str(error), where=where) from error
    except (ArgumentError, TypeError, ValueError) as error:
        names = [name.lstrip("-") for a in parser._actions for name in a.option_strings]
        message = one_line(str(error), names)
        raise ConfigError(re.sub(r"(?<![\w.])stage\.", "", message), where=where) from error


def check_sections(told: Mapping[str, Any]) -> None:
    """Raises ConfigError where a section of the stage is no mapping."""
    for path in SECTIONS:
        value: Any = told
        for key in path.split("."):
            value = value.get(key, {}) if isinstance(value, Mapping) else {}
        if not isinstance(value, Mapping):
            raise ConfigError("expected fields", got=value, where=path)
