"""AdamW and the learning rate over the run."""

import math

import torch
from torch import nn

from diglot.train.config import OptimConfig


def make_optimizer(model: nn.Module, config: OptimConfig) -> torch.optim.AdamW:
    """AdamW over the parameters that learn, and no others."""
    learn = [p for p in model.parameters() if p.requires_grad]
    return torch.optim.AdamW(
        learn,
        lr=config.lr,
        betas=(config.beta1, config.beta2),
        eps=config.eps,
        weight_decay=config.weight_decay,
    )


def lr_at(step: int, steps: int, config: OptimConfig) -> float:
    """The learning rate of optimizer step `step` of `steps`: linear warm-up, then cosine to 0.

    A function of the step alone, so resuming needs no scheduler state.
    """
    warmup = math.ceil(config.warmup * steps)
    if step < warmup:
        return config.lr * (step + 1) / warmup
    progress = (step - warmup) / max(1, steps - warmup)
    return config.lr * 0.5 * (1.0 + math.cos(math.pi * progress))
