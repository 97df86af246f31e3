"""CLIP's vision tower (Radford et al. 2021): patch tokens of the layer before last, as in LLaVA."""

from dataclasses import dataclass

from diglot.models.encoders._tower import CLIP_MEAN, CLIP_STD, Tower, TowerConfig, load_tower


@dataclass(frozen=True, kw_only=True)
class Config(TowerConfig):
    """Fields of TowerConfig."""


def build(config: Config) -> Tower:
    """The encoder. Raises ConfigError for a checkpoint of another family."""
    tower = load_tower(config, ("clip", "clip_vision_model"))
    return Tower(config, tower, prefix_tokens=1, mean=CLIP_MEAN, std=CLIP_STD, resample="bicubic")
