"""Several encoders as one: their features concatenated along channels on a common grid.

Source: "Law of Vision Representation in MLLMs", section 5.1 and Table 1 (feature combination).

All see the same view. One whose own size is another than the combination's sees it resampled by
that ratio; a finer grid is averaged to the common cells, a coarser one interpolated. The paper does
not say whether features are scaled before they are joined: both ways are here.
Legend: V views, h w grid cells, E channels.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from diglot.config.ranges import ImagePx, PositiveInt
from diglot.core.errors import ConfigError
from diglot.core.types import SizeHW
from diglot.models.config import EncoderPart
from diglot.models.encoder import RGB, Encoder, Resample


@dataclass(frozen=True, kw_only=True)
class Config:
    """Settings of the combination."""

    encoders: list[EncoderPart]
    """Two or more encoders, each a name or {name: ..., field: ...}, in the channels' order."""
    image_px: ImagePx | None = None
    """Side of a view in pixels; null = the first encoder's."""
    patch_px: PositiveInt | None = None
    """Side of a common cell in pixels of the view; null = the coarsest encoder's."""
    normalise: bool = False
    """Scale each encoder's features to a root mean square of 1 in every cell, so that one with
    large values does not outweigh the others."""

    def __post_init__(self) -> None:
        if len(self.encoders) < 2:
            raise ConfigError(
                "nothing to combine",
                expected="at least two encoders",
                got=len(self.encoders),
                where="combined.encoders",
            )
        parts = [
            EncoderPart.read(part, where=f"combined.encoders[{index}]").check()
            for index, part in enumerate(self.encoders)
        ]
        object.__setattr__(self, "encoders", parts)


class Combined(nn.Module):
    """Normalised pixels to the features of all parts, channels last."""

    def __init__(self, parts: Sequence[Any], config: Config) -> None:
        super().__init__()
        self.parts, self.normalise = nn.ModuleList(parts), config.normalise
        first: Encoder = parts[0]
        self.mean: RGB = first.mean
        self.std: RGB = first.std
        self.resample: Resample = first.resample
        self.image_px = config.image_px or first.image_px
        self.width = sum(int(part.width) for part in parts)
        self.patch_px = config.patch_px or max(self._cell_px(part) for part in parts)
        if self.image_px % self.patch_px:
            raise ConfigError(
                "image_px does not fit the common grid",
                expected=f"a multiple of {self.patch_px}",
                got=self.image_px,
                where="combined.image_px",
            )
        payload = [[part.revision for part in parts], self.image_px, self.patch_px, self.normalise]
        self.revision = hashlib.sha256(json.dumps(payload).encode()).hexdigest()[:16]

    def _cell_px(self, part: Encoder) -> int:
        """Side of a part's cell in pixels of the combination's view."""
        return round(part.patch_px * self.image_px / part.image_px)

    def forward(self, pixels_V3HW: torch.Tensor) -> torch.Tensor:
        """features_VhwE: h = H // patch_px, w = W // patch_px, E = the sum of the parts' widths.

        Raises ConfigError as the parts do.
        """
        height, width = pixels_V3HW.shape[-2:]
        grid_hw = height // self.patch_px, width // self.patch_px
        maps = [on_grid(part(self._view(part, pixels_V3HW)), grid_hw) for part in self.parts]
        return torch.cat([scale_to_unit(m) for m in maps] if self.normalise else maps, dim=-1)

    def _view(self, part: Any, pixels_V3HW: torch.Tensor) -> torch.Tensor:
        """The view at the part's own size, normalised as the part wants it."""
        if part.image_px != self.image_px:
            own_hw = tuple(s * part.image_px // self.image_px for s in pixels_V3HW.shape[-2:])
            pixels_V3HW = F.interpolate(pixels_V3HW, own_hw, mode="bilinear", antialias=True)
        if (part.mean, part.std) == (self.mean, self.std):
            return pixels_V3HW
        mean, std, own_mean, own_std = (
            pixels_V3HW.new_tensor(values).view(3, 1, 1)
            for values in (self.mean, self.std, part.mean, part.std)
        )
        return (pixels_V3HW * std + mean - own_mean) / own_std


def scale_to_unit(features_VhwE: torch.Tensor) -> torch.Tensor:
    """The features with a root mean square of 1 in every cell; a cell of zeros stays one."""
    return F.normalize(features_VhwE, dim=-1) * features_VhwE.shape[-1] ** 0.5


def on_grid(features_VhwE: torch.Tensor, grid_hw: SizeHW) -> torch.Tensor:
    """The same features on another grid: averaged where it is coarser, interpolated where finer."""
    if features_VhwE.shape[1:3] == torch.Size(grid_hw):
        return features_VhwE
    maps_VEhw = features_VhwE.permute(0, 3, 1, 2)
    if all(new <= old for new, old in zip(grid_hw, maps_VEhw.shape[-2:], strict=True)):
        moved = F.adaptive_avg_pool2d(maps_VEhw, grid_hw)
    else:
        moved = F.interpolate(maps_VEhw, grid_hw, mode="bilinear")
    return moved.permute(0, 2, 3, 1)


def build(config: Config) -> Combined:
    """The combination. Raises ConfigError as its parts do, or where no common grid fits."""
    return Combined([part.build() for part in config.encoders], config)
