"""FastVlm's tower: a convolutional network of timm, read as the stock class reads it.

Its last feature map before pooling, row-major, is what the projector takes (Vasu et al. 2025,
arXiv 2412.13303).
"""

from typing import Any, Self

import torch
from torch import nn

from diglot.core.errors import ConfigError
from diglot.models.adapters.images import StockImages
from diglot.models.adapters.names import WHERE
from diglot.models.encoders._tower import TowerConfig, tower_revision


class TimmTower(nn.Module):
    """A timm network as an Encoder. Always in eval mode: training mode would move its statistics.

    Legend: V views, h w grid cells, E encoder width.
    """

    layer = "last"

    def __init__(self, path: str, revision: str | None, tower: Any, images: StockImages) -> None:
        super().__init__()
        self.tower, self.image_px = tower, images.preprocess.image_px
        self.mean, self.std, self.resample = images.mean, images.std, images.resample
        described = TowerConfig(path=path, layer="last", revision=revision)
        self.revision = tower_revision(described, tower.config)
        super().train(False)
        self.width, self.patch_px = self._measure_grid()

    def train(self, mode: bool = True) -> Self:
        """Stays in eval mode whatever `mode` is (see the class)."""
        return self

    def forward(self, pixels_V3HW: torch.Tensor) -> torch.Tensor:
        """Features (V, h, w, E)."""
        out = self.tower(pixel_values=pixels_V3HW, do_pooling=False)
        return out.last_hidden_state.permute(0, 2, 3, 1)

    @torch.no_grad()
    def _measure_grid(self) -> tuple[int, int]:
        """Channels of a cell and its side in pixels; no config says them of every network.

        Raises ConfigError where the features of a view are no square grid of whole cells.
        """
        side = self.image_px
        pixels_13HW = torch.zeros(1, 3, side, side, device=next(self.tower.parameters()).device)
        features = self.tower(pixel_values=pixels_13HW, do_pooling=False).last_hidden_state
        shape = tuple(features.shape)
        if len(shape) != 4 or shape[2] != shape[3] or side % shape[2]:
            raise ConfigError(
                f"a tower that makes features of shape {shape} of a view of {side} x {side} pixels",
                expected="a square grid of whole cells",
                where=WHERE,
            )
        return shape[1], side // shape[2]
