"""Qwen2.5-VL taken apart: its ViT without the merger, which is the projector."""

from typing import Any

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


def qwen_encoder(path: str, revision: str | None, tower: Any, images: StockImages) -> Qwen25ViT:
    """The encoder of a stock model. Raises ConfigError for an order of patches not known here."""
    return StockQwen25ViT(Config(path=path, revision=revision), tower, images)
