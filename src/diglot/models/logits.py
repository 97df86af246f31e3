"""What some language models do to their logits behind the head: scale them, cap them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

# Settings that multiply the logits (Cohere), divide them (Granite) and cap them (Gemma 2).
FACTORS = ("logit_scale", "lm_head_multiplier")
DIVISORS = ("logits_scaling",)
CAPS = ("final_logit_softcapping", "logits_soft_cap")


@dataclass(frozen=True)
class LogitChange:
    """logits = cap * tanh(scale * x / cap), without a cap scale * x."""

    scale: float = 1.0
    cap: float | None = None


class ChangedHead(nn.Module):
    """A head with what the model does to its logits."""

    def __init__(self, matrix: nn.Module, change: LogitChange) -> None:
        super().__init__()
        self.matrix, self.change = matrix, change

    def forward(self, hidden_ND: torch.Tensor) -> torch.Tensor:
        """Hidden states (..., D) to logits (..., V)."""
        logits_NV = self.matrix(hidden_ND)
        if self.change.scale != 1.0:
            logits_NV = logits_NV * self.change.scale
        if self.change.cap is None:
            return logits_NV
        return self.change.cap * torch.tanh(logits_NV / self.change.cap)


def possible_changes(config: Any) -> Iterator[LogitChange]:
    """What a model of this configuration may do, the plain head first. To be checked against it."""

    def values(names: tuple[str, ...]) -> list[float]:
        found = [getattr(config, name, None) for name in names]
        return [float(value) for value in found if isinstance(value, int | float) and value]

    scales = [1.0, *values(FACTORS), *(1 / value for value in values(DIVISORS))]
    for cap in (None, *values(CAPS)):
        for scale in scales:
            yield LogitChange(scale, cap)
