"""What every vision encoder looks like to the rest of diglot."""

from typing import Literal, Protocol

import torch

from diglot.core.errors import ConfigError

Resample = Literal["bilinear", "bicubic", "lanczos"]
RGB = tuple[float, float, float]


class Encoder(Protocol):
    """An nn.Module that turns normalised pixels into a grid of features, channels last."""

    width: int  # E, channels of a feature
    patch_px: int  # side of the square of pixels behind one feature
    image_px: int  # side of the square view it was trained on
    mean: RGB
    std: RGB
    resample: Resample
    revision: str  # changes when weights or settings do: the key of the feature cache

    def __call__(self, pixels_V3HW: torch.Tensor) -> torch.Tensor:
        """Features (V, H // patch_px, W // patch_px, E), float."""
        ...


def unshuffle_cells(features_VhwE: torch.Tensor, factor: int) -> torch.Tensor:
    """Merge factor × factor neighbours into one token: (V, h/f, w/f, f*f*E), row-major in a block.

    Raises ConfigError where the grid does not divide.
    """
    views, height, width, channels = features_VhwE.shape
    if height % factor or width % factor:
        raise ConfigError(
            f"a grid of {height} x {width} features cannot be unshuffled by {factor}",
            expected=f"rows and columns divisible by {factor}",
            where="projector.unshuffle",
        )
    blocks = features_VhwE.reshape(
        views, height // factor, factor, width // factor, factor, channels
    )
    return blocks.permute(0, 1, 3, 2, 4, 5).reshape(
        views, height // factor, width // factor, factor * factor * channels
    )
