"""The configuration of one training stage: pretraining or SFT, the same type for both."""

from dataclasses import dataclass, field
from typing import Literal

from diglot.core.errors import ConfigError
from diglot.data.features import FeatureDtype
from diglot.models.trainable import Trainable
from diglot.models.vlm import Part, VLMConfig


@dataclass(frozen=True, kw_only=True)
class OptimConfig:
    """AdamW under a cosine with warm-up (MMCS Table 5)."""

    lr: float = 1e-3
    weight_decay: float = 0.0
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    warmup: float = 0.03  # share of the steps
    clip: float = 1.0  # gradient norm; 0 = no clipping


@dataclass(frozen=True, kw_only=True)
class FeaturesConfig:
    """The cache of a frozen encoder's features."""

    folder: str  # may be shared by runs: the encoder, its preprocessing and the data are the key
    dtype: FeatureDtype = "float16"  # float32 = bit-equal to no cache, at twice the size


@dataclass(frozen=True, kw_only=True)
class StageConfig:
    """One run of training."""

    data: str  # dataset folder
    out: str  # run folder
    split: str = "train"
    objective: Part = "caption"
    model: VLMConfig = field(default_factory=VLMConfig)
    start_from: str | None = None  # checkpoint folder whose weights the run starts from
    trainable: Trainable = field(default_factory=Trainable)
    optim: OptimConfig = field(default_factory=OptimConfig)
    epochs: int = 1
    max_samples: int | None = None  # use the first so many samples of the data
    global_batch: int = 128  # samples per optimizer step, over all processes
    micro_batch: int = 4  # samples of one forward pass, per process
    row_tokens: int = 2048  # documents are packed into rows of at most so many positions
    precision: Literal["no", "bf16", "fp16"] = "no"  # autocast; "no" = float32
    seed: int = 0
    workers: int = 0  # processes that prepare samples beside the one that trains
    features: FeaturesConfig | None = None
    checkpoint_every: int = 100  # optimizer steps
    probe_every: int = 0  # optimizer steps between evaluations on the probe set; 0 = none
    probe_split: str = "test"  # of the same dataset folder
    probe_samples: int = 16  # its first ones

    def __post_init__(self) -> None:
        for name in ("epochs", "global_batch", "micro_batch", "row_tokens", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ConfigError("must be at least 1", got=getattr(self, name), where=name)
        if self.max_samples is not None and self.max_samples < 1:
            raise ConfigError("must be at least 1", got=self.max_samples, where="max_samples")
        if not 0.0 <= self.optim.warmup <= 1.0 or self.optim.lr <= 0.0:
            raise ConfigError(
                "expected lr > 0 and warmup in [0, 1]",
                got=(self.optim.lr, self.optim.warmup),
                where="optim",
            )
        if self.features and self.trainable.encoder:
            raise ConfigError(
                "cached features need a frozen encoder",
                where="features, trainable.encoder",
                fix="Leave features out, or freeze the encoder.",
            )
