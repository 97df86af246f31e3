"""What the vision towers of `transformers` share: loading, layer choice, resolution, statistics."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn
from transformers import AutoConfig, AutoModel

from diglot.config.ranges import ImagePx
from diglot.core.errors import ConfigError
from diglot.embedded.checkpoints import find_checkpoint
from diglot.models.encoder import RGB, Resample
from diglot.models.pretrained import load_pretrained, read_pretrained

HALF: RGB = (0.5, 0.5, 0.5)
CLIP_MEAN: RGB = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD: RGB = (0.26862954, 0.26130258, 0.27577711)
IMAGENET_MEAN: RGB = (0.485, 0.456, 0.406)
IMAGENET_STD: RGB = (0.229, 0.224, 0.225)


@dataclass(frozen=True, kw_only=True)
class TowerConfig:
    """A tower by its checkpoint."""

    path: str
    """Checkpoint: a local folder or a hub id; "embedded_tower" is the small SigLIP in diglot."""
    image_px: ImagePx | None = None
    """Side of a view in pixels; null = the size it was trained on."""
    layer: int | Literal["last"] = -2
    """Which hidden state: -1 = the last, -2 = the one before it (LLaVA); last = the last one behind
    the tower's final norm, which CLIP has not."""
    revision: str | None = None
    """Git revision of a hub id."""


def load_tower(config: TowerConfig, family: tuple[str, ...]) -> nn.Module:
    """The vision tower of a checkpoint, alone, whether it was saved alone or in a pair.

    Raises ConfigError where the checkpoint is missing or of another family.
    """
    where = "encoder.path"
    found = read_pretrained(AutoConfig, config.path, where=where, revision=config.revision)
    if found.model_type not in family:
        raise ConfigError(
            f"{config.path} is a {found.model_type!r} checkpoint",
            expected=" or ".join(family),
            where=where,
        )
    paired = hasattr(found, "vision_config")
    model = load_pretrained(
        AutoModel,
        config.path,
        where=where,
        needed="vision_model." if paired else "",
        revision=config.revision,
        dtype=torch.float32,
    )
    return getattr(model, "vision_model", model)


class Tower(nn.Module):
    """A ViT of `transformers` as an Encoder: patch tokens of one layer as a grid."""

    def __init__(
        self,
        config: TowerConfig,
        tower: nn.Module,
        *,
        prefix_tokens: int,
        mean: RGB,
        std: RGB,
        resample: Resample,
    ) -> None:
        super().__init__()
        self.tower, self.prefix_tokens = tower, prefix_tokens
        self.layer: int | Literal["last"] = config.layer
        settings: Any = tower.config
        self.width, self.patch_px = settings.hidden_size, _read_side(settings.patch_size)
        self.trained_px = _read_side(settings.image_size)
        self.image_px = config.image_px or self.trained_px
        self.mean, self.std, self.resample = mean, std, resample
        layers = settings.num_hidden_layers
        if config.layer != "last" and not -(layers + 1) <= config.layer <= layers:
            raise ConfigError(
                f"the tower has {layers} layers", got=config.layer, where="encoder.layer"
            )
        self.revision = tower_revision(config, settings)

    def forward(self, pixels_V3HW: torch.Tensor) -> torch.Tensor:
        rows, columns = (side // self.patch_px for side in pixels_V3HW.shape[-2:])
        trained = tuple(pixels_V3HW.shape[-2:]) == (self.trained_px, self.trained_px)
        extra = {} if trained else {"interpolate_pos_encoding": True}
        hidden = self._hidden(pixels_V3HW, **extra)[:, self.prefix_tokens :]
        return hidden.reshape(len(hidden), rows, columns, self.width)

    def _hidden(self, pixels_V3HW: torch.Tensor, **extra: Any) -> torch.Tensor:
        out = self.tower(pixel_values=pixels_V3HW, output_hidden_states=True, **extra)
        return chosen_layer(out, self.layer)


def _read_side(size: int | list[int] | tuple[int, int]) -> int:
    """The side of a square that a config has as one number or two."""
    if isinstance(size, int):
        return size
    if size[0] != size[1]:
        raise ConfigError("the tower takes no square", got=size, where="encoder.path")
    return size[0]


def chosen_layer(out: Any, layer: int | Literal["last"]) -> torch.Tensor:
    """The hidden state of a tower's output that `layer` names."""
    return out.last_hidden_state if layer == "last" else out.hidden_states[layer]


def tower_revision(config: TowerConfig, settings: Any) -> str:
    """A digest of checkpoint, layer and architecture, for cache keys."""
    folder = Path(find_checkpoint(config.path))
    files = sorted(folder.glob("*.safetensors")) if folder.is_dir() else []
    stamps = [(f.name, f.stat().st_size, f.stat().st_mtime_ns) for f in files]
    payload = [
        config.path,
        config.revision,
        config.layer,
        config.image_px,
        stamps,
        settings.to_dict(),
    ]
    return hashlib.sha256(json.dumps(payload, default=str, sort_keys=True).encode()).hexdigest()[
        :16
    ]
