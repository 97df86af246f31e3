"""What trains, stated in one place, and logged per module with counts."""

from dataclasses import dataclass

from torch import nn

from diglot.core.errors import ConfigError
from diglot.models.config import LoraConfig, Trainable
from diglot.models.language import Language
from diglot.models.lora import add_lora, lora_parameters, merge_lora
from diglot.models.vlm import VLM


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
    _place_lora(vlm.language, trainable.lora)
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


def _place_lora(language: Language, lora: LoraConfig | None) -> None:
    """Adapters of these settings in the language model; others, of a run before, are merged."""
    if language.lora == lora:
        return
    if language.lora:
        merge_lora(language)
    if lora:
        add_lora(language, lora)


def train_mode(vlm: VLM) -> None:
    """Train mode for the parts that learn; eval for the frozen, so no statistic of theirs moves."""
    for name in ("encoder", "projector", "language"):
        part: nn.Module = getattr(vlm, name)
        part.train(any(p.requires_grad for p in part.parameters()))


def count_part(name: str, part: nn.Module) -> PartCount:
    """Count a part's parameters."""
    sizes = [(p.numel(), p.requires_grad) for p in part.parameters()]
    return PartCount(name, sum(n for n, learns in sizes if learns), sum(n for n, _ in sizes))
