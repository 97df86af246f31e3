"""Whichever known vision tower a checkpoint holds: its family is read off the checkpoint."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from transformers import AutoConfig

from diglot.core.errors import ConfigError
from diglot.embedded.checkpoints import find_checkpoint
from diglot.files import read_object
from diglot.models.encoders import clip, dinov2, dinov3, siglip, siglip2
from diglot.models.encoders._tower import HALF, Tower, TowerConfig
from diglot.models.pretrained import read_pretrained

FAMILIES = {
    "clip": "clip",
    "clip_vision_model": "clip",
    "siglip": "siglip",
    "siglip_vision_model": "siglip",
    "siglip2": "siglip2",
    "siglip2_vision_model": "siglip2",
    "dinov2": "dinov2",
    "dinov2_with_registers": "dinov2",
    "dinov3_vit": "dinov3",
}
BILINEAR = 2  # in PIL


@dataclass(frozen=True, kw_only=True)
class Config(TowerConfig):
    """Fields of TowerConfig."""


def build(config: Config) -> Tower:
    """The encoder. Raises ConfigError for a checkpoint of a family that is not known here."""
    found = read_pretrained(AutoConfig, config.path, where="encoder.path", revision=config.revision)
    return BUILD[find_family(found, config.path)](asdict(config))


def find_family(config: Any, path: str) -> str:
    """The encoder that reads a checkpoint with this config. Raises ConfigError where none does."""
    if config.model_type not in FAMILIES:
        raise ConfigError(
            f"{path} is a {config.model_type!r} checkpoint",
            expected="one of " + ", ".join(FAMILIES),
            where="encoder.path",
        )
    return FAMILIES[config.model_type]


def _own_processing(settings: dict[str, Any]) -> dict[str, Any]:
    """What a folder states on how its pictures were prepared; empty where it does not."""
    file = Path(find_checkpoint(settings["path"])) / "preprocessor_config.json"
    return read_object(file) if file.is_file() else {}


def _build_clip(settings: dict[str, Any]) -> Tower:
    """OpenAI's pixels, or those of .5 where the folder states it, as some of OpenCLIP's do."""
    half = _own_processing(settings).get("image_mean") == list(HALF)
    return clip.build(clip.Config(**settings, statistics="half" if half else "clip"))


def _build_siglip(settings: dict[str, Any]) -> Tower:
    """SigLIP was trained on bicubic pictures, SigLIP2 on bilinear: its own files say which."""
    bilinear = (
        _own_processing(settings).get("resample") == BILINEAR
        or "siglip2" in settings["path"].lower()
    )
    resample = "bilinear" if bilinear else "bicubic"
    return siglip.build(siglip.Config(**settings, resample=resample))


BUILD: dict[str, Callable[[dict[str, Any]], Tower]] = {
    "clip": _build_clip,
    "siglip": _build_siglip,
    "siglip2": lambda settings: siglip2.build(siglip2.Config(**settings)),
    "dinov2": lambda settings: dinov2.build(dinov2.Config(**settings)),
    "dinov3": lambda settings: dinov3.build(dinov3.Config(**settings)),
}
