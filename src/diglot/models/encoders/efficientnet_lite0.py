"""EfficientNet-Lite0 as a vision encoder: the last feature map before pooling.

Source: Tan and Le 2019, arXiv 1905.11946; the Lite variant drops squeeze-excitation and uses ReLU6.
Small enough to run on a CPU, and its weights can be had without a model hub.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from diglot.core.errors import ConfigError
from diglot.embedded.archive import file_sha256
from diglot.embedded.efficientnet_lite0 import efficientnet_weights
from diglot.models.encoder import RGB, Resample

WIDTH = 1280
STRIDE_PX = 32


@dataclass(frozen=True, kw_only=True)
class Config:
    """Settings of the encoder."""

    image_px: int = 448  # side of a view; a multiple of 32
    weights: str | None = None  # safetensors file; None = the embedded ImageNet-1k weights
    channels_last: bool = True  # memory layout; the faster one on CPUs and on tensor cores

    def __post_init__(self) -> None:
        if self.image_px < STRIDE_PX or self.image_px % STRIDE_PX:
            raise ConfigError(
                "image_px does not fit the encoder's grid",
                expected=f"a positive multiple of {STRIDE_PX}",
                got=self.image_px,
                where="efficientnet_lite0.image_px",
            )


class EfficientNetLite0(nn.Module):
    """Views to a grid of features. Legend: V views, h w grid cells, E encoder width.

    Always in eval mode: in training mode batch normalisation would change its running statistics,
    and with them a frozen encoder, and drop-connect would add noise.
    """

    width: int = WIDTH
    patch_px: int = STRIDE_PX
    # Of the original TensorFlow training: (pixel - 127) / 128 on 0..255, bicubic.
    mean: RGB = (127 / 255, 127 / 255, 127 / 255)
    std: RGB = (128 / 255, 128 / 255, 128 / 255)
    resample: Resample = "bicubic"

    def __init__(self, config: Config, state: dict[str, torch.Tensor], *, revision: str) -> None:
        super().__init__()
        self.image_px = config.image_px
        self.revision = revision
        # The size sets the padding of the strided convolutions, the same for all multiples of 32.
        self.net = _network(config.image_px)
        self.net.load_state_dict(state)
        self.memory_format = (
            torch.channels_last if config.channels_last else torch.contiguous_format
        )
        self.net.to(memory_format=self.memory_format)  # pyright: ignore[reportCallIssue]
        super().train(False)

    def train(self, mode: bool = True) -> Self:
        """Stays in eval mode whatever `mode` is (see the class)."""
        return self

    def forward(self, pixels_V3HW: torch.Tensor) -> torch.Tensor:
        """features_VhwE: h = H // 32, w = W // 32, E = 1280, values in [0, 6] (ReLU6).

        pixels_V3HW: float, already normalised with `mean` and `std`, sides multiples of 32.
        Raises ConfigError for another shape.
        """
        shape = tuple(pixels_V3HW.shape)
        if len(shape) != 4 or shape[1] != 3 or shape[2] % STRIDE_PX or shape[3] % STRIDE_PX:
            raise ConfigError(
                "pixels do not fit the encoder",
                expected=f"(views, 3, height, width), sides multiples of {STRIDE_PX}",
                got=shape,
                where="efficientnet_lite0",
            )
        pixels_V3HW = pixels_V3HW.contiguous(memory_format=self.memory_format)
        features_VEhw: torch.Tensor = self.net.extract_features(pixels_V3HW)
        return features_VEhw.permute(0, 2, 3, 1).contiguous()

    def classifier_rows(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(weight, bias), (1000, E) and (1000,): ImageNet's classes in the space of the features.

        The class scores of a view are the mean of its cells' features times weight, plus bias.
        """
        return self.net._fc.weight.detach(), self.net._fc.bias.detach()


def _network(image_px: int) -> Any:
    try:
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise ConfigError(
            "the package efficientnet-lite-pytorch is needed for this encoder",
            where="efficientnet_lite0",
            fix='Install it: pip install "diglot[demo]".',
        ) from error
    return EfficientNet.from_name("efficientnet-lite0", image_size=image_px)


def build(config: Config) -> EfficientNetLite0:
    """The encoder with its weights, on the CPU, float32, in eval mode.

    Raises ConfigError for a weights file that is missing, no safetensors, or of another network.
    """
    path = efficientnet_weights() if config.weights is None else Path(config.weights)
    try:
        revision = f"{file_sha256(path)[:16]}-{config.image_px}px"
        return EfficientNetLite0(config, load_file(path), revision=revision)
    except (OSError, SafetensorError, RuntimeError) as error:
        raise ConfigError(
            f"cannot use these weights: {' '.join(str(error).split())[:300]}",
            expected="a safetensors file with the state dict of EfficientNet-Lite0",
            got=str(path),
            where="efficientnet_lite0.weights",
        ) from error
