"""Qwen2.5-VL and Qwen3-VL taken apart: their ViTs without the mergers, which are the projector.

Qwen3-VL hands features of middle layers on too, each through a merger of its own, and its language
model adds them to the visual tokens behind its first layers (DeepStack, Meng et al. 2024, arXiv
2406.04334). Here they lie behind the last layer's in the channels, all the way into the LLM.
"""

from typing import Any

import torch
from torch import nn

from diglot.models.adapters.images import StockImages
from diglot.models.encoders.qwen2_5_vl import Config, Qwen25ViT


class StockQwen25ViT(Qwen25ViT):
    """The stock tower, whose merger has been taken out; its processor says how pixels come."""

    def __init__(self, config: Config, tower: Any, images: StockImages) -> None:
        super().__init__(config, tower)  # it checks the order of patches by the merger
        tower.merger = nn.Identity()  # else encoder and projector would both own its weights
        self.mean, self.std, self.resample = images.mean, images.std, images.resample
        self.layer = "last"


class StockQwen3ViT(StockQwen25ViT):
    """The same of Qwen3-VL: features of its last layer, then of each that DeepStack takes."""

    def __init__(self, config: Config, tower: Any, images: StockImages) -> None:
        super().__init__(config, tower, images)
        deep = len(tower.deepstack_merger_list)
        tower.deepstack_merger_list = nn.ModuleList([nn.Identity() for _ in range(deep)])
        self.levels = 1 + deep
        self.width = self.levels * tower.config.hidden_size

    def _run(self, pixels_V3HW: torch.Tensor) -> tuple[torch.Tensor, tuple[int, ...], Any]:
        flat, shape = self.cut_patches(pixels_V3HW)
        views, rows, columns, merge = shape
        grid = torch.tensor([[1, rows, columns]] * views, device=pixels_V3HW.device)
        out = self.tower(flat, grid_thw=grid)
        features = torch.cat([out.last_hidden_state, *out.deepstack_features], dim=-1)
        return features.reshape(-1, merge * merge, self.width), shape, out

    def _check_order(self) -> None:
        """It has no windows: its patches come as they go in, block by block."""


def qwen_encoder(
    kind: str, path: str, revision: str | None, tower: Any, images: StockImages
) -> Qwen25ViT:
    """The encoder of a stock model. Raises ConfigError for an order of patches not known here."""
    encoder = StockQwen25ViT if kind == "qwen2_5_vl" else StockQwen3ViT
    return encoder(Config(path=path, revision=revision), tower, images)
