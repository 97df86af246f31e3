"""C-Abstractor (Honeybee, section 4.1): convolutions before and after pooling to fewer tokens.

Learned positions, RegNet blocks, adaptive average pooling, RegNet blocks, then Linear-SiLU-Linear.
Where the sides do not divide (24 × 24 to 16 × 16) the pooling windows overlap; a token's cell is
its window, though the convolutions see further. The blocks follow RegNet-Y with one group per
channel and LayerNorm over the channels.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from diglot.config.ranges import PositiveFloat
from diglot.core.errors import ConfigError
from diglot.core.merging import AveragePool
from diglot.models.channel_norm import ChannelNorm
from diglot.models.projectors._start import match_words, probe_features


@dataclass(frozen=True, kw_only=True)
class Config:
    """Shape and start of the projector."""

    input_side: int = 24
    """Rows and columns of the encoder's grid of a view: image_px / the encoder's patch size."""
    output_side: int = 16
    """Rows and columns of visual tokens: its square is the number of tokens of a view."""
    hidden: int = 1024
    """Channels of the blocks."""
    depth: int = 3
    """RegNet blocks before the pooling, and as many after it."""
    match_words: bool = True
    """Start at the root mean square of the language model's word embeddings; false keeps the
    layers' default start."""
    start_scale: PositiveFloat = 1.0
    """With match_words, start at so many times the words' root mean square."""

    def __post_init__(self) -> None:
        for name in ("input_side", "output_side", "hidden", "depth"):
            if getattr(self, name) < 1:
                raise ConfigError(
                    "must be at least 1", got=getattr(self, name), where=f"projector.{name}"
                )


class SqueezeExcite(nn.Module):
    """Scale each channel by a gate that reads the means of all of them."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.fc2 = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x_VChw: torch.Tensor) -> torch.Tensor:
        means = x_VChw.mean((2, 3), keepdim=True)
        return x_VChw * self.fc2(nn.functional.silu(self.fc1(means))).sigmoid()


class BottleneckBlock(nn.Module):
    """RegNet's bottleneck: 1×1, 3×3 of each channel alone, squeeze and excite, 1×1; a shortcut."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        squeezed = max(1, round(inside * 0.25))
        self.residual = nn.Sequential(
            nn.Conv2d(inside, outside, 1, bias=False),
            ChannelNorm(outside),
            nn.SiLU(),
            nn.Conv2d(outside, outside, 3, padding=1, groups=outside, bias=False),
            ChannelNorm(outside),
            nn.SiLU(),
            SqueezeExcite(outside, squeezed),
            nn.Conv2d(outside, outside, 1, bias=False),
            ChannelNorm(outside),
        )
        same = inside == outside
        self.shortcut = nn.Identity() if same else nn.Conv2d(inside, outside, 1, bias=False)
        self.shortcut_norm = nn.Identity() if same else ChannelNorm(outside)

    def forward(self, x_VChw: torch.Tensor) -> torch.Tensor:
        shortcut = self.shortcut_norm(self.shortcut(x_VChw))
        return nn.functional.silu(self.residual(x_VChw) + shortcut)


class CAbstractor(nn.Module):
    """Maps features (V, h, w, E) of a fixed grid to visual tokens (V, rows, columns, D)."""

    def __init__(self, config: Config, *, encoder_width: int, llm_width: int) -> None:
        super().__init__()
        side, hidden = config.input_side, config.hidden
        self.merging = AveragePool((config.output_side, config.output_side), (side, side))
        self.positions = nn.Parameter(torch.empty(1, side, side, encoder_width))
        nn.init.trunc_normal_(self.positions, std=0.02)
        first = [encoder_width] + [hidden] * (config.depth - 1)
        self.before = nn.Sequential(*(BottleneckBlock(width, hidden) for width in first))
        self.pool = nn.AdaptiveAvgPool2d(config.output_side)
        self.after = nn.Sequential(*(BottleneckBlock(hidden, hidden) for _ in first))
        layers = {"fc1": nn.Linear(hidden, llm_width), "act": nn.SiLU()}
        self.readout = nn.Sequential(OrderedDict(**layers, fc2=nn.Linear(llm_width, llm_width)))

    def forward(self, features_VhwE: torch.Tensor) -> torch.Tensor:
        x_VChw = (features_VhwE + self.positions).permute(0, 3, 1, 2)
        # each pooled cell is the mean of its window
        pooled_VCrc = self.pool(self.before(x_VChw))
        return self.readout(self.after(pooled_VCrc).permute(0, 2, 3, 1))


def build(
    config: Config, *, encoder_width: int, llm_width: int, embeddings_rms: float
) -> CAbstractor:
    """The projector, freshly started from torch's global generator.

    `embeddings_rms` is the root mean square of the LLM's word embeddings.
    """
    projector = CAbstractor(config, encoder_width=encoder_width, llm_width=llm_width)
    if config.match_words:
        probe = probe_features(1, config.input_side, config.input_side, encoder_width)
        last: Any = projector.readout.fc2
        match_words(last, lambda: projector(probe), config.start_scale * embeddings_rms)
    return projector
