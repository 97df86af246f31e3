"""SigLIP2's vision tower in its NaFlex form (Tschannen et al. 2025): any aspect, from patches."""

from dataclasses import dataclass
from typing import Any

import torch

from diglot.core.errors import ConfigError
from diglot.models.encoder import unshuffle_cells
from diglot.models.encoders._tower import HALF, Tower, TowerConfig, chosen_layer, load_tower


@dataclass(frozen=True, kw_only=True)
class Config(TowerConfig):
    """Fields of TowerConfig."""


class Siglip2(Tower):
    """Cuts the views into flat patches, as the NaFlex tower takes them."""

    def _hidden(self, pixels_V3HW: torch.Tensor, **extra: Any) -> torch.Tensor:
        views, _, height, width = pixels_V3HW.shape
        rows, columns = height // self.patch_px, width // self.patch_px
        cropped = pixels_V3HW[:, :, : rows * self.patch_px, : columns * self.patch_px]
        patches = unshuffle_cells(cropped.permute(0, 2, 3, 1), self.patch_px)
        shapes = torch.tensor([[rows, columns]] * views, device=pixels_V3HW.device)
        out = self.tower(
            pixel_values=patches.flatten(1, 2),
            pixel_attention_mask=torch.ones(
                views, rows * columns, dtype=torch.int64, device=pixels_V3HW.device
            ),
            spatial_shapes=shapes,
            output_hidden_states=True,
        )
        return chosen_layer(out, self.layer)


def build(config: Config) -> Siglip2:
    """The encoder. Raises ConfigError for a checkpoint of another family."""
    tower: Any = load_tower(config, ("siglip2", "siglip2_vision_model"))
    set_trained_size(tower.config)
    return Siglip2(config, tower, prefix_tokens=0, mean=HALF, std=HALF, resample="bilinear")


def set_trained_size(settings: Any) -> None:
    """NaFlex has no one size; this is its position table's. Raises ConfigError without one."""
    trained = int(settings.num_patches**0.5) * settings.patch_size
    if trained < settings.patch_size:
        raise ConfigError("the checkpoint has no position table", where="encoder.path")
    settings.image_size = trained
