"""One linear layer after an optional unshuffle: the projector of LLaVA 1 and of Idefics3."""

from dataclasses import dataclass

import torch
from torch import nn

from diglot.core.errors import ConfigError
from diglot.core.merging import Unshuffle
from diglot.models.encoder import unshuffle_cells
from diglot.models.projectors._start import match_words, probe_features


@dataclass(frozen=True, kw_only=True)
class Config:
    """Shape and start of the projector."""

    unshuffle: int = 1
    """Merge n × n features into one token."""
    bias: bool = True
    """Add a bias (Idefics3 has none)."""
    match_words: bool = True
    """Start at the root mean square of the language model's word embeddings; false keeps the
    layer's default start."""

    def __post_init__(self) -> None:
        if self.unshuffle < 1:
            raise ConfigError("must be at least 1", got=self.unshuffle, where="projector.unshuffle")


class LinearProjector(nn.Module):
    """Maps features (V, h, w, E) to visual tokens (V, h/f, w/f, D)."""

    def __init__(self, config: Config, *, encoder_width: int, llm_width: int) -> None:
        super().__init__()
        self.merging = Unshuffle(config.unshuffle)
        merged = encoder_width * config.unshuffle**2
        self.fc = nn.Linear(merged, llm_width, bias=config.bias)

    def forward(self, features_VhwE: torch.Tensor) -> torch.Tensor:
        return self.fc(unshuffle_cells(features_VhwE, self.merging.factor))


def build(
    config: Config, *, encoder_width: int, llm_width: int, embeddings_rms: float
) -> LinearProjector:
    """The projector, freshly started from torch's global generator.

    `embeddings_rms` is the root mean square of the LLM's word embeddings.
    """
    projector = LinearProjector(config, encoder_width=encoder_width, llm_width=llm_width)
    if config.match_words:
        probe = probe_features(64, projector.fc.in_features)
        match_words(projector.fc, lambda: projector.fc(probe), embeddings_rms)
    return projector
