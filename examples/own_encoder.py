"""An encoder of your own: the colours of each square of pixels, without any weights.

Copy it, change `forward`, and name it by its dotted path, run from the folder above:

    diglot train ... --model.encoder examples.own_encoder --model.encoder.patch_px 16
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import adaptive_avg_pool2d

from diglot.config.ranges import PositiveInt
from diglot.core.errors import ConfigError
from diglot.models.encoder import RGB, Resample


@dataclass(frozen=True, kw_only=True)
class Config:
    """Its options; `diglot train --model.encoder.help examples.own_encoder` shows them."""

    image_px: PositiveInt = 224
    """Side of a view in pixels; a multiple of patch_px."""
    patch_px: PositiveInt = 32
    """Side of the square of pixels behind one feature."""


class Colours(nn.Module):
    """Mean colours of the four quarters of each square: 12 channels."""

    mean: RGB = (0.5, 0.5, 0.5)  # pixels come as (value / 255 - mean) / std
    std: RGB = (0.5, 0.5, 0.5)
    resample: Resample = "bilinear"
    width = 12

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.patch_px, self.image_px = config.patch_px, config.image_px
        self.revision = f"colours {config.patch_px}"  # the key under which features are kept

    def forward(self, pixels_V3HW: torch.Tensor) -> torch.Tensor:
        """Features (V, H / patch_px, W / patch_px, 12), float."""
        rows, columns = (side // self.patch_px for side in pixels_V3HW.shape[-2:])
        # two by two colours of each square, then the four side by side as channels
        quarters_V3hw = adaptive_avg_pool2d(pixels_V3HW, (2 * rows, 2 * columns))
        squares = quarters_V3hw.unflatten(3, (columns, 2)).unflatten(2, (rows, 2))
        return squares.permute(0, 2, 4, 1, 3, 5).flatten(3)


def build(config: Config) -> Colours:
    """What diglot calls. Raises ConfigError where the squares do not fill the view."""
    if config.image_px % config.patch_px:
        raise ConfigError("not a multiple of patch_px", got=config.image_px, where="image_px")
    return Colours(config)
