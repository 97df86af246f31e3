"""MobileSAM's image encoder (Zhang et al. 2023, arXiv 2306.14289): TinyViT, distilled from SAM.

It learned where things end and not what they are called: the opposite of a classifier's features.
Its windows are of fixed sizes and tile any grid, so no attention bias needs to be interpolated away
from the 1024 px it was trained at, and at multiples of 224 px no window is padded.
"""

from dataclasses import dataclass
from typing import Literal, Self

import torch
from safetensors.torch import load_file
from torch import nn

from diglot.config.ranges import ImagePx
from diglot.core.errors import ConfigError
from diglot.embedded.mobilesam import mobilesam_weights
from diglot.files import file_sha256
from diglot.models.encoder import RGB, Resample
from diglot.models.encoders._tinyvit import NECK, STRIDE_PX, WIDTHS, TinyViT
from diglot.models.encoders._tower import IMAGENET_MEAN, IMAGENET_STD

PREFIX = "image_encoder."
UNUSED = (f"{PREFIX}head.", f"{PREFIX}norm_head.")  # of TinyViT's first training, on ImageNet


@dataclass(frozen=True, kw_only=True)
class Config:
    """Settings of the encoder."""

    image_px: ImagePx = 448
    """Side of a view in pixels; a multiple of 16."""
    layer: Literal["neck", "trunk"] = "neck"
    """neck = SAM's image embedding (256 channels); trunk = the last stage before it (320)."""

    def __post_init__(self) -> None:
        if self.image_px < STRIDE_PX or self.image_px % STRIDE_PX:
            raise ConfigError(
                "image_px does not fit the encoder's grid",
                expected=f"a positive multiple of {STRIDE_PX}",
                got=self.image_px,
                where="mobilesam.image_px",
            )


class MobileSAM(nn.Module):
    """Views to a grid of features; always in eval mode, so that no running statistic moves.

    Legend: V views, h w grid cells, E encoder width.
    """

    patch_px: int = STRIDE_PX
    mean: RGB = IMAGENET_MEAN
    std: RGB = IMAGENET_STD
    resample: Resample = "bilinear"

    def __init__(self, config: Config, net: TinyViT, *, revision: str) -> None:
        super().__init__()
        self.image_px, self.layer = config.image_px, config.layer
        self.width = NECK if config.layer == "neck" else WIDTHS[-1]
        self.revision = f"{revision}-{config.image_px}px-{config.layer}"
        self.net = net
        super().train(False)

    def train(self, mode: bool = True) -> Self:
        """Stays in eval mode whatever `mode` is (see the class)."""
        return self

    def forward(self, pixels_V3HW: torch.Tensor) -> torch.Tensor:
        """features_VhwE: h = H // 16, w = W // 16. Raises ConfigError for another shape."""
        shape = tuple(pixels_V3HW.shape)
        if len(shape) != 4 or shape[1] != 3 or shape[2] % STRIDE_PX or shape[3] % STRIDE_PX:
            raise ConfigError(
                "pixels do not fit the encoder",
                expected=f"(views, 3, height, width), sides multiples of {STRIDE_PX}",
                got=shape,
                where="mobilesam",
            )
        run = self.net if self.layer == "neck" else self.net.trunk
        features_VEhw: torch.Tensor = run(pixels_V3HW)
        return features_VEhw.permute(0, 2, 3, 1).contiguous()


def build(config: Config) -> MobileSAM:
    """The encoder with its weights, on the CPU, float32."""
    path = mobilesam_weights()
    state = {
        name.removeprefix(PREFIX): tensor
        for name, tensor in load_file(path).items()
        if name.startswith(PREFIX) and not name.startswith(UNUSED)
    }
    net = TinyViT()
    net.load_state_dict(state)
    return MobileSAM(config, net, revision=file_sha256(path)[:16])
