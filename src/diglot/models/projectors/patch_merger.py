"""Qwen2.5-VL's merger: RMSNorm of each feature, f x f of them in a row, Linear-GELU-Linear.

Bai et al. 2025, arXiv 2502.13923, section 2.1.1: a two-layer MLP on groups of four neighbouring
patch features. Its hidden layer is as wide as the features that it merges.
"""

from dataclasses import dataclass

import torch
from torch import nn

from diglot.config.ranges import PositiveFloat, PositiveInt
from diglot.core.merging import Unshuffle
from diglot.models.encoder import unshuffle_cells
from diglot.models.projectors._start import match_words, probe_features

EPSILON = 1e-6  # of the norm, as the stock class has it


@dataclass(frozen=True, kw_only=True)
class Config:
    """Shape and start of the projector."""

    unshuffle: PositiveInt = 2
    """Merge n × n features into one token."""
    match_words: bool = True
    """Scale the output's start to the root mean square of the word embeddings; false keeps the
    layers' default start."""
    start_scale: PositiveFloat = 1.0
    """With match_words, start at so many times the words' root mean square."""


class PatchMerger(nn.Module):
    """Maps features (V, h, w, E) to visual tokens (V, h/f, w/f, D)."""

    def __init__(self, factor: int, *, encoder_width: int, llm_width: int) -> None:
        super().__init__()
        merged = encoder_width * factor**2
        self.merging = Unshuffle(factor)
        self.norm = nn.RMSNorm(encoder_width, eps=EPSILON)
        self.fc1, self.fc2 = nn.Linear(merged, merged), nn.Linear(merged, llm_width)
        self.activation = nn.GELU()

    def forward(self, features_VhwE: torch.Tensor) -> torch.Tensor:
        normed_VhwE = self.norm(features_VhwE)  # each by itself, before they are merged
        merged_VrcE = unshuffle_cells(normed_VhwE, self.merging.factor)
        tokens_ND = self.map_merged(merged_VrcE.flatten(0, 2))
        return tokens_ND.unflatten(0, merged_VrcE.shape[:3])

    def map_merged(self, merged_NE: torch.Tensor) -> torch.Tensor:
        """Normed and merged features (N, f*f*E) to visual tokens (N, D)."""
        return self.fc2(self.activation(self.fc1(merged_NE)))


def build(
    config: Config, *, encoder_width: int, llm_width: int, embeddings_rms: float
) -> PatchMerger:
    """The projector, freshly started from torch's global generator.

    `embeddings_rms` is the root mean square of the LLM's word embeddings.
    """
    projector = PatchMerger(config.unshuffle, encoder_width=encoder_width, llm_width=llm_width)
    if config.match_words:
        probe = probe_features(64, projector.fc1.in_features)
        rms = config.start_scale * embeddings_rms
        match_words(projector.fc2, lambda: projector.map_merged(probe), rms)
    return projector
