"""What trains, stated in one place, and logged per module with counts."""

from dataclasses import dataclass
from typing import Any

from torch import nn
from transformers import PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer

from diglot.core.errors import ConfigError
from diglot.models.config import Trainable
from diglot.models.lora import lora_parameters, place_lora
from diglot.models.vlm import VLM

LEARNING_PARTS = ("encoder", "projector", "language", "heads")  # of a VLM


@dataclass(frozen=True)
class PartCount:
    """Parameters of one part, and how many of them learn."""

    part: str
    learn: int
    total: int


def set_trainable(vlm: VLM, trainable: Trainable) -> list[PartCount]:
    """Freeze and free the parts, put frozen ones in eval mode, and count.

    Raises ConfigError where nothing would learn.
    """
    place_lora(vlm.language, trainable.lora)
    counts = []
    for name in ("encoder", "projector", "language"):
        part: nn.Module = getattr(vlm, name)
        learns = getattr(trainable, name)
        part.requires_grad_(learns)
        if name == "language" and trainable.lora:
            for parameter in lora_parameters(vlm.language):
                parameter.requires_grad_(True)
        counts.append(count_part(name, part))
    train_mode(vlm)
    if not any(count.learn for count in counts):
        raise ConfigError("no parameter would learn", where="trainable")
    return counts


def train_mode(vlm: VLM) -> None:
    """Train mode for the parts that learn; eval for the frozen, so no statistic of theirs moves."""
    for name in ("encoder", "projector", "language"):
        part: nn.Module = getattr(vlm, name)
        part.train(any(p.requires_grad for p in part.parameters()))
    for layer in vlm.modules():
        # a layer reads its own flag to decide, and its dropouts read theirs, which stay off
        if isinstance(layer, GradientCheckpointingLayer) and layer.gradient_checkpointing:
            layer.training = True


def checkpoint_layers(vlm: VLM) -> None:
    """Keep each layer's input alone, and compute it again on the way back, frozen layers too.

    Gradients reach the projector through the frozen language model, whose layers are as large.
    Raises ConfigError for a language model whose layers cannot.
    """
    model = vlm.language.model
    if not model.supports_gradient_checkpointing:
        raise ConfigError(
            f"{type(model).__name__} has no gradient checkpointing",
            where="gradient_checkpointing",
            fix="Set it to false; a smaller micro_batch or row_tokens saves memory too.",
        )
    for part in vlm.language.model, vlm.encoder:
        for module in part.modules():
            if isinstance(module, PreTrainedModel) and module.supports_gradient_checkpointing:
                _enable_checkpointing(module)
    train_mode(vlm)


def _enable_checkpointing(model: Any) -> None:
    newest = "activation_checkpointing_enable"  # the other name goes with transformers 6
    enable = getattr(model, newest, None) or model.gradient_checkpointing_enable
    enable({"use_reentrant": False})


def count_part(name: str, part: nn.Module) -> PartCount:
    """Count a part's parameters."""
    sizes = [(p.numel(), p.requires_grad) for p in part.parameters()]
    return PartCount(name, sum(n for n, learns in sizes if learns), sum(n for n, _ in sizes))
