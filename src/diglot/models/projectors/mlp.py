"""Linear-activation-Linear after an optional unshuffle: the projector of LLaVA-1.5 and of MMCS."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from diglot.config.ranges import NonNegativeInt, PositiveFloat, PositiveInt
from diglot.core.errors import ConfigError
from diglot.core.merging import Unshuffle
from diglot.models.encoder import unshuffle_cells
from diglot.models.projectors._start import match_words, probe_features


@dataclass(frozen=True, kw_only=True)
class Config:
    """Shape and start of the projector."""

    hidden: PositiveInt | None = None
    """Width of the hidden layer; null = the language model's width."""
    activation: Literal["gelu", "quick_gelu", "silu"] = "gelu"
    """Between the two linear layers."""
    unshuffle: PositiveInt = 1
    """Merge n × n features into one token (2 in MMCS)."""
    input_norm: bool = False
    """LayerNorm on the merged features (a Llava checkpoint has none)."""
    match_words: bool = True
    """Scale the output's start to the root mean square of the word embeddings; false keeps the
    layers' default start."""
    start_scale: PositiveFloat = 1.0
    """With match_words, start at so many times the words' root mean square."""
    separators: NonNegativeInt = 0
    """Learned vectors that stand between visual tokens: 1 for anyres (LLaVA-NeXT's newline)."""


class QuickGELU(nn.Module):
    """x * sigmoid(1.702 x)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.sigmoid(1.702 * x)


ACTIVATIONS = {"gelu": nn.GELU, "quick_gelu": QuickGELU, "silu": nn.SiLU}


class MLP(nn.Module):
    """Maps features (V, h, w, E) to visual tokens (V, h/f, w/f, D)."""

    def __init__(self, config: Config, *, encoder_width: int, llm_width: int) -> None:
        super().__init__()
        self.merging = Unshuffle(config.unshuffle)
        merged = encoder_width * config.unshuffle**2
        hidden = config.hidden or llm_width
        self.norm = nn.LayerNorm(merged) if config.input_norm else nn.Identity()
        self.fc1 = nn.Linear(merged, hidden)
        self.activation = ACTIVATIONS[config.activation]()
        self.fc2 = nn.Linear(hidden, llm_width)
        if config.separators:
            self.separators = nn.Parameter(torch.randn(config.separators, llm_width))

    def forward(self, features_VhwE: torch.Tensor) -> torch.Tensor:
        merged_VrcE = unshuffle_cells(features_VhwE, self.merging.factor)
        # one matrix for all tokens of all views
        tokens_ND = self.map_merged(merged_VrcE.flatten(0, 2))
        return tokens_ND.unflatten(0, merged_VrcE.shape[:3])

    def map_merged(self, merged_NE: torch.Tensor) -> torch.Tensor:
        """Merged features (N, f*f*E) to visual tokens (N, D)."""
        return self.fc2(self.activation(self.fc1(self.norm(merged_NE))))


def build(config: Config, *, encoder_width: int, llm_width: int, embeddings_rms: float) -> MLP:
    """The projector, freshly started from torch's global generator.

    `embeddings_rms` is the root mean square of the LLM's word embeddings. Raises ConfigError for a
    width or an unshuffle below 1.
    """
    for name in ("unshuffle", "hidden"):
        value = getattr(config, name)
        if value is not None and value < 1:
            raise ConfigError("must be at least 1", got=value, where=f"projector.{name}")
    if config.separators < 0:
        raise ConfigError("below 0", got=config.separators, where="projector.separators")
    projector = MLP(config, encoder_width=encoder_width, llm_width=llm_width)
    if config.separators:
        projector.separators.data.mul_(embeddings_rms)
    if config.match_words:
        probe = probe_features(64, projector.fc1.in_features)
        rms = config.start_scale * embeddings_rms
        match_words(projector.fc2, lambda: projector.map_merged(probe), rms)
    return projector
