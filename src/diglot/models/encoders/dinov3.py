"""DINOv3's ViTs (Simeoni et al. 2025): rotary positions, so any size of view."""

from dataclasses import dataclass
from typing import Any

from diglot.models.encoders._tower import IMAGENET_MEAN, IMAGENET_STD, TowerConfig, load_tower
from diglot.models.encoders.dinov2 import Dinov2


@dataclass(frozen=True, kw_only=True)
class Config(TowerConfig):
    """Fields of TowerConfig."""


def build(config: Config) -> Dinov2:
    """The encoder. Raises ConfigError for a checkpoint of another family.

    Its class token and registers stand before the patches and are dropped.
    """
    tower = load_tower(config, ("dinov3_vit",))
    settings: Any = tower.config
    return Dinov2(
        config,
        tower,
        prefix_tokens=1 + settings.num_register_tokens,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        resample="bilinear",
    )
