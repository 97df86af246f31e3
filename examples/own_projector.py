"""A projector of your own: one linear layer with a gain on each channel of what comes out.

Copy it, change `forward`, and name it by its dotted path, run from the folder above:

    diglot train ... --model.projector examples.own_projector --model.projector.unshuffle 2
"""

from dataclasses import dataclass

import torch
from torch import nn

from diglot.config.ranges import PositiveFloat, PositiveInt
from diglot.core.merging import Unshuffle
from diglot.models.encoder import unshuffle_cells


@dataclass(frozen=True, kw_only=True)
class Config:
    """Its options; `diglot train --model.projector.help examples.own_projector` shows them."""

    unshuffle: PositiveInt = 1
    """Merge n × n features into one token before the layer."""
    gain: PositiveFloat = 1.0
    """Root mean square of the first outputs, over that of the LLM's word embeddings."""


class GainedLinear(nn.Module):
    """y = gain * W x, the gain one learned number a channel."""

    def __init__(self, config: Config, encoder_width: int, llm_width: int, rms: float) -> None:
        super().__init__()
        self.merging = Unshuffle(config.unshuffle)  # from it diglot knows each token's cell
        inputs = encoder_width * config.unshuffle**2
        self.linear = nn.Linear(inputs, llm_width, bias=False)
        nn.init.normal_(self.linear.weight, std=inputs**-0.5)
        self.gain_D = nn.Parameter(torch.full((llm_width,), config.gain * rms))

    def forward(self, features_VhwE: torch.Tensor) -> torch.Tensor:
        """Visual tokens (V, h/n, w/n, D) of the features of V views (V, h, w, E)."""
        return self.gain_D * self.linear(unshuffle_cells(features_VhwE, self.merging.factor))


def build(
    config: Config, *, encoder_width: int, llm_width: int, embeddings_rms: float
) -> GainedLinear:
    """What diglot calls, with the widths of encoder and LLM, and its word embeddings' size."""
    return GainedLinear(config, encoder_width, llm_width, embeddings_rms)
