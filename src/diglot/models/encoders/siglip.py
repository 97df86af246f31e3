"""SigLIP's vision tower (Zhai et al. 2023), and SigLIP2's fixed-resolution checkpoints."""

from dataclasses import dataclass
from typing import Literal

from diglot.models.encoders._tower import HALF, Tower, TowerConfig, load_tower


@dataclass(frozen=True, kw_only=True)
class Config(TowerConfig):
    """Fields of TowerConfig, and how pictures are resized."""

    resample: Literal["bicubic", "bilinear"] = "bicubic"
    """What it was trained with: SigLIP bicubic, SigLIP2 at a fixed resolution bilinear."""


def build(config: Config) -> Tower:
    """The encoder. Raises ConfigError for a checkpoint of another family."""
    tower = load_tower(config, ("siglip", "siglip_vision_model"))
    return Tower(config, tower, prefix_tokens=0, mean=HALF, std=HALF, resample=config.resample)
