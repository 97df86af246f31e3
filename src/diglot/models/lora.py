"""LoRA on the language model through peft (Hu et al. 2021, arXiv 2106.09685).

The adapters sit in the language model alone: peft's own `all-linear` would also reach a vision
tower and a projector. They count as the language model's learned weights.
"""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.distributed.tensor import DTensor

from diglot.core.errors import ConfigError
from diglot.models.config import LoraConfig
from diglot.models.language import Language

BASE_SAMPLE = 16  # numbers of each weight
INSTALL = 'Install it: pip install "diglot[lora]".'


def place_lora(language: Language, lora: LoraConfig | None) -> None:
    """Adapters of these settings in the language model; others, of a run before, are merged."""
    if language.lora == lora:
        return
    if language.lora:
        merge_lora(language)
    if lora:
        add_lora(language, lora)


def add_lora(language: Language, config: LoraConfig) -> list[str]:
    """Put fresh adapters into the language model; returns the adapted layers' names.

    Raises ConfigError where peft is missing or `targets` finds no linear layer.
    """
    peft = import_peft()
    pattern = re.compile(config.targets)
    names = [
        name
        for name, module in language.model.named_modules()
        if isinstance(module, nn.Linear) and pattern.fullmatch(name)
    ]
    if not names:
        raise ConfigError(
            "no layer of the language model matches",
            got=config.targets,
            where="trainable.lora.targets",
            fix="Names look like " + _example_layer(language) + ".",
        )
    settings = peft.LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=config.dropout,
        target_modules=names,
        **config.extra,
    )
    peft.inject_adapter_in_model(settings, language.model)  # in its layers: the model stays itself
    for parameter in lora_parameters(language):  # half precision would lose small updates
        parameter.data = parameter.data.float()
    language.lora = config
    return names


def merge_lora(language: Language) -> int:
    """Add every adapter to its layer's weight and take it out; returns how many there were."""
    adapted = [(n, m) for n, m in language.model.named_modules() if hasattr(m, "lora_A")]
    for name, module in adapted:
        merging: Any = module
        merging.merge(safe_merge=True)
        parent, _, child = name.rpartition(".")
        setattr(language.model.get_submodule(parent), child, merging.get_base_layer())
    if adapted:
        del language.model.peft_config  # else peft takes the next ones for a second adapter
    language.lora, language.merged = None, language.merged or bool(adapted)
    return len(adapted)


def sample_base(language: Language) -> dict[str, str]:
    """A few numbers of every weight that is no adapter's: bfloat16 as hex digits, by its name.

    Empty where a process holds a part of a weight alone.
    """
    samples = {}
    for name, parameter in language.model.named_parameters():
        if "lora_" in name:
            continue
        weight = parameter.detach()
        if isinstance(weight, DTensor) or weight.is_meta or not weight.numel():
            return {}
        spread = torch.linspace(0, weight.numel() - 1, BASE_SAMPLE).long()
        numbers = weight.reshape(-1)[spread.to(weight.device)].to("cpu", torch.bfloat16)
        samples[_own_name(name)] = numbers.view(torch.int16).numpy().tobytes().hex()
    return samples


def check_base(language: Language, kept: Mapping[str, str], *, where: str) -> None:
    """Raises ConfigError where adapters were learned on other weights than they are put on.

    `kept` is what `sample_base` gave then. Of each weight half the numbers must be there: another
    half precision rounds some to a neighbour.
    """
    found = sample_base(language)
    if not kept or not found:
        return
    changed = (name for name in {**kept, **found} if not _is_same(kept.get(name), found.get(name)))
    if name := next(changed, None):
        raise ConfigError(
            "the LoRA weights were learned on another language model",
            expected="the weights that they were learned on",
            got=f"another {name}",
            where=where,
            fix="Give that model as model.language.path.",
        )


def _is_same(kept: str | None, found: str | None) -> bool:
    if kept is None or found is None or len(kept) != len(found):
        return False
    same = sum(kept[at : at + 4] == found[at : at + 4] for at in range(0, len(found), 4))
    return same >= len(found) / 4 / 2


def lora_state(language: Language) -> dict[str, torch.Tensor]:
    """The adapters' weights by name; empty where there are none."""
    return {n: p.detach() for n, p in language.model.named_parameters() if "lora_" in n}


def base_state(language: Language) -> dict[str, torch.Tensor]:
    """The language model's own weights under their own names, whether adapters sit in it or not."""
    state = language.state_dict(keep_vars=True)
    return {_own_name(n): v for n, v in state.items() if "lora_" not in n}


def _own_name(name: str) -> str:
    """A weight's name where no adapter sits on it."""
    return name.replace(".base_layer.", ".")


def lora_parameters(language: Language) -> list[nn.Parameter]:
    """The weights of LoRA in the language model, A and B of every layer; none without adapters."""
    return [p for n, p in language.model.named_parameters() if "lora_" in n]


def _example_layer(language: Language) -> str:
    linear = [n for n, m in language.model.named_modules() if isinstance(m, nn.Linear)]
    return repr(linear[0]) if linear else "none: it has no linear layer"


def import_peft() -> Any:
    """The package peft. Raises ConfigError where it is missing."""
    try:
        import peft
    except ImportError as error:
        raise ConfigError("LoRA needs peft", where="trainable.lora", fix=INSTALL) from error
    return peft
