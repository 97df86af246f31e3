"""TinyViT-5M as MobileSAM uses it: convolutions, then attention in windows, then SAM's neck.

Sources: Wu et al. 2022, "TinyViT" (arXiv 2207.10666), section 3.1; Zhang et al. 2023, "Faster
Segment Anything" (arXiv 2306.14289), which keeps the last stage at a stride of 16 and adds the neck
of Kirillov et al. 2023. Modules are called as in the published checkpoint, so its weights load.
Legend: V views, C channels, h w grid, N tokens of a window.
"""

import torch
import torch.nn.functional as F
from torch import nn

from diglot.models.channel_norm import ChannelNorm

WIDTHS = (64, 128, 160, 320)
DEPTHS = (2, 2, 6, 2)
HEADS = (0, 4, 5, 10)  # the first stage has no attention
WINDOWS = (0, 7, 14, 7)
STRIDES = (2, 2, 1)  # of the mergings between the stages
STRIDE_PX = 16
NECK = 256


class ConvNorm(nn.Module):
    """A convolution and its batch normalisation."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 1, *, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__()
        self.c = nn.Conv2d(
            inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False
        )
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x_VChw: torch.Tensor) -> torch.Tensor:
        return self.bn(self.c(x_VChw))


class Bottleneck(nn.Module):
    """Widen, mix in space by a depthwise convolution, narrow (and halve the grid if `stride` is 2).

    With `residual` the input is added and an activation follows (an MBConv); else it is a merging.
    """

    def __init__(
        self, inputs: int, middle: int, outputs: int, *, stride: int, residual: bool
    ) -> None:
        super().__init__()
        self.conv1 = ConvNorm(inputs, middle)
        self.conv2 = ConvNorm(middle, middle, 3, stride=stride, groups=middle)
        self.conv3 = ConvNorm(middle, outputs)
        self.residual = residual

    def forward(self, x_VChw: torch.Tensor) -> torch.Tensor:
        inner = self.conv3(F.gelu(self.conv2(F.gelu(self.conv1(x_VChw)))))
        return F.gelu(x_VChw + inner) if self.residual else inner


class WindowAttention(nn.Module):
    """Self-attention of a window's tokens, with a learned bias for each distance of two tokens."""

    def __init__(self, width: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.attention_biases = nn.Parameter(torch.zeros(heads, window * window))
        self.distance_NN: torch.Tensor
        self.register_buffer("distance_NN", _token_distances(window), persistent=False)

    def forward(self, x_WNC: torch.Tensor) -> torch.Tensor:
        """The same shape: W windows of N tokens."""
        windows, tokens, _ = x_WNC.shape
        mixed = self.qkv(self.norm(x_WNC)).view(windows, tokens, self.heads, -1)
        query, key, value = mixed.transpose(1, 2).chunk(3, dim=-1)
        bias_HNN = self.attention_biases[:, self.distance_NN]
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=bias_HNN)
        return self.proj(attended.transpose(1, 2).reshape(windows, tokens, -1))


class Feedforward(nn.Module):
    """Norm, Linear, GELU, Linear."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc2(F.gelu(self.fc1(self.norm(x))))


class WindowBlock(nn.Module):
    """Attention in windows, a depthwise convolution that joins them, and a feed-forward layer."""

    def __init__(self, width: int, heads: int, window: int) -> None:
        super().__init__()
        self.window = window
        self.attn = WindowAttention(width, heads, window)
        self.local_conv = ConvNorm(width, width, 3, groups=width)
        self.mlp = Feedforward(width)

    def forward(self, x_VChw: torch.Tensor) -> torch.Tensor:
        x_VhwC = x_VChw.permute(0, 2, 3, 1)
        x_VhwC = x_VhwC + self._attend(x_VhwC)
        x_VhwC = self.local_conv(x_VhwC.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return (x_VhwC + self.mlp(x_VhwC)).permute(0, 3, 1, 2)

    def _attend(self, x_VhwC: torch.Tensor) -> torch.Tensor:
        """Attention within windows; a grid they do not fill is padded with zeros, as published."""
        side = self.window
        views, rows, columns, width = x_VhwC.shape
        padded = F.pad(x_VhwC, (0, 0, 0, -columns % side, 0, -rows % side))
        down, across = padded.shape[1] // side, padded.shape[2] // side
        cut = padded.view(views, down, side, across, side, width).transpose(2, 3)
        attended = self.attn(cut.reshape(-1, side * side, width))
        joined = attended.view(views, down, across, side, side, width).transpose(2, 3)
        return joined.reshape(padded.shape)[:, :rows, :columns]


class Stage(nn.Module):
    """Blocks of one width, and the merging that leads to the next stage."""

    def __init__(self, number: int) -> None:
        super().__init__()
        width = WIDTHS[number]
        self.blocks = nn.Sequential(*(_make_block(number) for _ in range(DEPTHS[number])))
        self.downsample = nn.Identity()
        if number < len(STRIDES):
            wider, stride = WIDTHS[number + 1], STRIDES[number]
            self.downsample = Bottleneck(width, wider, wider, stride=stride, residual=False)

    def forward(self, x_VChw: torch.Tensor) -> torch.Tensor:
        return self.downsample(self.blocks(x_VChw))


class PatchEmbed(nn.Module):
    """Two strided convolutions: a grid of a quarter of the side."""

    def __init__(self) -> None:
        super().__init__()
        half, whole = WIDTHS[0] // 2, WIDTHS[0]
        self.seq = nn.Sequential(
            ConvNorm(3, half, 3, stride=2), nn.GELU(), ConvNorm(half, whole, 3, stride=2)
        )

    def forward(self, pixels_V3HW: torch.Tensor) -> torch.Tensor:
        return self.seq(pixels_V3HW)


class TinyViT(nn.Module):
    """MobileSAM's image encoder: pixels (V, 3, H, W) to a map at a stride of 16 px."""

    def __init__(self) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed()
        self.layers = nn.Sequential(*(Stage(number) for number in range(len(WIDTHS))))
        self.neck = nn.Sequential(
            nn.Conv2d(WIDTHS[-1], NECK, 1, bias=False),
            ChannelNorm(NECK, eps=1e-6),
            nn.Conv2d(NECK, NECK, 3, padding=1, bias=False),
            ChannelNorm(NECK, eps=1e-6),
        )

    def trunk(self, pixels_V3HW: torch.Tensor) -> torch.Tensor:
        """What the last stage gives: (V, 320, H // 16, W // 16)."""
        return self.layers(self.patch_embed(pixels_V3HW))

    def forward(self, pixels_V3HW: torch.Tensor) -> torch.Tensor:
        """SAM's image embedding: (V, 256, H // 16, W // 16)."""
        return self.neck(self.trunk(pixels_V3HW))


def _make_block(stage: int) -> nn.Module:
    width = WIDTHS[stage]
    if not HEADS[stage]:
        return Bottleneck(width, 4 * width, width, stride=1, residual=True)
    return WindowBlock(width, HEADS[stage], WINDOWS[stage])


def _token_distances(window: int) -> torch.Tensor:
    """Which bias holds for two tokens: rows apart times `window` plus columns apart, (N, N)."""
    place = torch.arange(window * window)
    rows, columns = place // window, place % window
    apart_rows = (rows[:, None] - rows).abs()
    apart_columns = (columns[:, None] - columns).abs()
    return apart_rows * window + apart_columns
