"""CLIP's vision tower (Radford et al. 2021): patch tokens of the layer before last, as in LLaVA."""

from dataclasses import dataclass
from typing import Literal

from diglot.models.encoders._tower import (
    CLIP_MEAN,
    CLIP_STD,
    HALF,
    Tower,
    TowerConfig,
    load_tower,
)


@dataclass(frozen=True, kw_only=True)
class Config(TowerConfig):
    """Fields of TowerConfig, and how pixels are normalised."""

    statistics: Literal["clip", "half"] = "clip"
    """Mean and spread of pixels that it was trained with: OpenAI's own (clip), or .5 (half), as
    OpenCLIP's ViT-L/14 on LAION-2B."""


def build(config: Config) -> Tower:
    """The encoder. Raises ConfigError for a checkpoint of another family."""
    tower = load_tower(config, ("clip", "clip_vision_model"))
    half = config.statistics == "half"
    mean, std = (HALF, HALF) if half else (CLIP_MEAN, CLIP_STD)
    encoder = Tower(config, tower, prefix_tokens=1, mean=mean, std=std, resample="bicubic")
    if half:  # a combination's own statistics are its first encoder's, so the key must say it
        encoder.revision += "-half"
    return encoder
