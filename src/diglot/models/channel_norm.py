"""LayerNorm over the channels of a map that has its channels first."""

import torch
from torch import nn


class ChannelNorm(nn.LayerNorm):
    """`LayerNorm` over C of maps (V, C, h, w), which come back in the same shape."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return super().forward(input.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
