"""EfficientNet-Lite0 as a vision encoder: the last feature map before pooling, or an earlier one.

Source: Tan and Le 2019, arXiv 1905.11946; the Lite variant drops squeeze-excitation and uses ReLU6.
Small enough to run on a CPU, and its weights can be had without a model hub.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from diglot.config.ranges import ImagePx
from diglot.core.errors import ConfigError
from diglot.embedded.efficientnet_lite0 import efficientnet_weights
from diglot.files import file_sha256
from diglot.models.encoder import RGB, Resample
from diglot.models.encoders._folding import FoldedCopies
from diglot.models.encoders._random_start import randomise_weights

STRIDE_PX = 32  # of the last layer: views are multiples of it whichever layer is read
RANDOM = re.compile(r"random:(\d{1,9})")
Layer = Literal["head", "stride_32", "stride_16", "stride_8"]


class Cut(NamedTuple):
    """Where a layer is read: after so many blocks, at this stride, with so many channels."""

    blocks: int
    stride_px: int
    width: int


CUTS: dict[Layer, Cut] = {
    "head": Cut(16, 32, 1280),
    "stride_32": Cut(16, 32, 320),
    "stride_16": Cut(11, 16, 112),
    "stride_8": Cut(5, 8, 40),
}


@dataclass(frozen=True, kw_only=True)
class Config:
    """Settings of the encoder."""

    image_px: ImagePx = 448
    """Side of a view in pixels; a multiple of 32."""
    layer: Layer = "head"
    """Which feature map: head = the one that is pooled and classified (1280 channels, ReLU6);
    stride_N = the last block's output at that stride (320, 112, 40 channels, linear)."""
    weights: str | None = None
    """safetensors file; null = the embedded ImageNet-1k weights; random:SEED = weights never
    trained, the floor of a comparison."""
    channels_last: bool = True
    """Memory layout; the faster one on CPUs and on tensor cores."""

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

    # Of the original TensorFlow training: (pixel - 127) / 128 on 0..255, bicubic.
    mean: RGB = (127 / 255, 127 / 255, 127 / 255)
    std: RGB = (128 / 255, 128 / 255, 128 / 255)
    resample: Resample = "bicubic"

    def __init__(self, config: Config, net: Any, *, revision: str) -> None:
        super().__init__()
        self.image_px, self.layer = config.image_px, config.layer
        self._blocks, self.patch_px, self.width = CUTS[config.layer]
        self.revision = revision if config.layer == "head" else f"{revision}-{config.layer}"
        self.net = net
        self.memory_format = (
            torch.channels_last if config.channels_last else torch.contiguous_format
        )
        self.net.to(memory_format=self.memory_format)  # pyright: ignore[reportCallIssue]
        self._folded = FoldedCopies()
        super().train(False)

    def train(self, mode: bool = True) -> Self:
        """Stays in eval mode whatever `mode` is (see the class)."""
        return self

    def forward(self, pixels_V3HW: torch.Tensor) -> torch.Tensor:
        """features_VhwE: h = H // patch_px, w = W // patch_px, E = width; head's are in [0, 6].

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
        net = self.net if self._needs_gradient() else self._folded.of(self.net)
        head = self.layer == "head"
        x_VEhw = net.extract_features(pixels_V3HW) if head else self._block_output(net, pixels_V3HW)
        return x_VEhw.permute(0, 2, 3, 1).contiguous()

    def _needs_gradient(self) -> bool:
        learns = any(p.requires_grad for p in self.net.parameters())
        return learns and torch.is_grad_enabled()

    def _block_output(self, net: Any, pixels_V3HW: torch.Tensor) -> torch.Tensor:
        """The map (V, E, h, w) after the layer's last block."""
        x_VEhw = net._swish(net._bn0(net._conv_stem(pixels_V3HW)))
        for block in net._blocks[: self._blocks]:
            x_VEhw = block(x_VEhw)
        return x_VEhw

    def classifier_rows(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(weight, bias), (1000, E) and (1000,): ImageNet's classes in the space of the features.

        The class scores of a view are the mean of its cells' features times weight, plus bias.
        Raises ConfigError for another layer.
        """
        if self.layer != "head":
            raise ConfigError(
                "only the last layer is classified",
                expected="layer: head",
                got=self.layer,
                where="efficientnet_lite0.layer",
            )
        return self.net._fc.weight.detach(), self.net._fc.bias.detach()


def _make_network(image_px: int) -> Any:
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
    # The size sets the padding of the strided convolutions, the same for all multiples of 32.
    net = _make_network(config.image_px)
    revision = _fill_weights(net, config.weights)
    return EfficientNetLite0(config, net, revision=f"{revision}-{config.image_px}px")


def _fill_weights(net: Any, weights: str | None) -> str:
    """Give the network its weights; returns what names them: the file's digest, or random:SEED."""
    if weights and (drawn := RANDOM.fullmatch(weights)):
        randomise_weights(net, seed=int(drawn[1]))
        return weights
    path = efficientnet_weights() if weights is None else Path(weights)
    try:
        net.load_state_dict(load_file(path))
        return file_sha256(path)[:16]
    except (OSError, SafetensorError, RuntimeError) as error:
        raise ConfigError(
            f"cannot use these weights: {' '.join(str(error).split())[:300]}",
            expected="a safetensors file with the state dict of EfficientNet-Lite0, or random:SEED",
            got=str(path),
            where="efficientnet_lite0.weights",
        ) from error
