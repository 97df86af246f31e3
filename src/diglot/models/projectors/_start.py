"""The start of a projector's last layer: at the size of the language model's words."""

from collections.abc import Callable

import torch
from torch import nn


@torch.no_grad()
def match_words(
    last: nn.Linear, project: Callable[[], torch.Tensor], embeddings_rms: float
) -> None:
    """Scale the last layer so that what `project` gives has the words' root mean square."""
    scale = embeddings_rms / project().square().mean().sqrt()
    last.weight.mul_(scale)
    if last.bias is not None:
        last.bias.mul_(scale)


def probe_features(*shape: int) -> torch.Tensor:
    """Features of unit variance, the same in every run."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))
