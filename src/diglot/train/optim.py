"""AdamW, one parameter group for each part that learns, and the learning rate over the run."""

import logging
import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn

from diglot.core.errors import ConfigError
from diglot.models.trainable import LEARNING_PARTS
from diglot.train.config import OptimConfig

log = logging.getLogger(__name__)


def make_optimizer(model: nn.Module, config: OptimConfig) -> torch.optim.AdamW:
    """AdamW over the parameters that learn, and no others; logs each group's settings.

    A group holds the matrices of one part, or its vectors (biases and the gains of norms), which
    weight decay spares. Raises ConfigError for a rate of a part that does not learn, and for
    weights that learn in half precision: small updates would be rounded away.
    """
    groups = [group for part in LEARNING_PARTS for group in _group_part(model, part, config)]
    _check_rates(config, {group["part"] for group in groups})
    for group in groups:
        _check_precision(group)
        count = sum(p.numel() for p in group["params"])
        settings = group["part"], count, group["peak_lr"], group["weight_decay"]
        log.info("%s: %d parameters at a peak rate of %g, weight decay %g", *settings)
    betas = config.beta1, config.beta2
    return torch.optim.AdamW(groups, lr=config.lr, betas=betas, eps=config.eps)


def _group_part(model: nn.Module, part: str, config: OptimConfig) -> Iterable[dict[str, Any]]:
    """The groups of one part: what decays and what does not; one group where nothing decays."""
    learn = [p for p in getattr(model, part).parameters() if p.requires_grad]
    decay = config.weight_decay
    spared = [p for p in learn if decay and p.ndim < 2]
    decayed = [p for p in learn if not (decay and p.ndim < 2)]
    shared = {"part": part, "peak_lr": config.rates.get(part, config.lr)}
    for params, weight_decay in ((decayed, decay), (spared, 0.0)):
        if params:
            yield {"params": params, "weight_decay": weight_decay, **shared}


def _check_rates(config: OptimConfig, learning: set[str]) -> None:
    for part in config.rates:
        if part not in learning:
            raise ConfigError(
                f"the {part} has a learning rate and does not learn",
                where=f"optim.{part}_lr",
                fix=f"Leave it out, or set trainable.{part}: true.",
            )


def _check_precision(group: Mapping[str, Any]) -> None:
    half = {str(p.dtype).removeprefix("torch.") for p in group["params"] if p.dtype.itemsize < 4}
    if half:
        part = group["part"]
        raise ConfigError(
            f"the {part} learns in {', '.join(sorted(half))}: most updates would be rounded away",
            expected="weights in float32",
            where=f"trainable.{part}",
            fix=f"Set dtype: float32 for the {part} and precision: bf16, which computes in half "
            "precision and keeps float32 weights; or learn by trainable.lora.",
        )


def lr_at(step: int, steps: int, config: OptimConfig) -> float:
    """The learning rate of optimizer step `step` of `steps`: linear warm-up, then the schedule.

    A function of the step alone, so resuming needs no scheduler state.
    """
    return config.lr * _share_at(step, steps, config)


def set_rates(
    optimizer: torch.optim.Optimizer, step: int, steps: int, config: OptimConfig
) -> dict[str, float]:
    """Set each group's rate for this step; returns them, by part where parts have their own."""
    share = _share_at(step, steps, config)
    for group in optimizer.param_groups:
        group["lr"] = group["peak_lr"] * share
    by_part = {f"lr/{group['part']}": group["lr"] for group in optimizer.param_groups}
    return {"lr": config.lr * share, **(by_part if config.rates else {})}


def _share_at(step: int, steps: int, config: OptimConfig) -> float:
    """Of the peak rate, from 0 to 1."""
    warmup = math.ceil(config.warmup * steps)
    if step < warmup:
        return (step + 1) / warmup
    progress = (step - warmup) / max(1, steps - warmup)
    if config.schedule == "constant":
        return 1.0
    if config.schedule == "linear":
        return 1.0 - progress
    return 0.5 * (1.0 + math.cos(math.pi * progress))
