"""DINOv2 (Oquab et al. 2023), with or without registers."""

from dataclasses import dataclass
from typing import Any

import torch

from diglot.models.encoders._tower import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Tower,
    TowerConfig,
    load_tower,
)


@dataclass(frozen=True, kw_only=True)
class Config(TowerConfig):
    """Fields of TowerConfig."""


class Dinov2(Tower):
    """DINOv2 interpolates its position embeddings by itself."""

    def _hidden(self, pixels_V3HW: torch.Tensor, **extra: Any) -> torch.Tensor:
        return super()._hidden(pixels_V3HW)


def build(config: Config) -> Dinov2:
    """The encoder. Raises ConfigError for a checkpoint of another family."""
    tower = load_tower(config, ("dinov2", "dinov2_with_registers"))
    registers = getattr(tower.config, "num_register_tokens", 0)
    return Dinov2(
        config,
        tower,
        prefix_tokens=1 + registers,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        resample="bicubic",
    )
