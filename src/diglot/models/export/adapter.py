"""LoRA as a peft folder beside the stock base: `PeftModel.from_pretrained(base, base/adapter)`.

The base holds the language model as it was and the learned projector; the adapter holds the updates
and the projector once more (`modules_to_save`), so that it is whole on another copy of the base.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from diglot.core.errors import ConfigError
from diglot.models.config import LoraConfig
from diglot.models.language import Language
from diglot.models.lora import import_peft, lora_state

ADAPTER = "adapter"
PEFT_AT = "base_model.model."  # what peft writes before every name


@dataclass(frozen=True)
class TakenLora:
    """Adapters that were taken out of a language model: settings, layers, weights by name."""

    settings: LoraConfig
    layers: tuple[str, ...]
    state: dict[str, torch.Tensor]


def take_lora(language: Language) -> TakenLora:
    """Take the adapters out, unmerged: the language model is its base again.

    Raises ConfigError where there are none.
    """
    if language.lora is None:
        raise ConfigError(
            "the checkpoint has no LoRA",
            where="--adapter",
            fix="Leave --adapter out: then everything is in the stock folder.",
        )
    state = {name: value.cpu().contiguous() for name, value in lora_state(language).items()}
    layers = [name for name, module in language.model.named_modules() if hasattr(module, "lora_A")]
    for name in layers:
        parent, _, child = name.rpartition(".")
        module: Any = language.model.get_submodule(name)
        setattr(language.model.get_submodule(parent), child, module.get_base_layer())
    taken = TakenLora(language.lora, tuple(layers), state)
    language.lora = None
    return taken


def write_adapter(
    lora: TakenLora,
    language: Language,
    out: Path,
    *,
    text_at: str,
    projector_at: str,
    projector: dict[str, torch.Tensor],
) -> None:
    """Write the peft folder. `text_at` and `projector_at` are where the stock class has its parts,
    each with a dot behind; `projector` is the projector's weights by the names behind it."""
    modules = language.model.named_modules()
    decoder_at = next(name for name, module in modules if module is language.decoder) + "."

    def stock_name(name: str) -> str:
        inside = name.startswith(decoder_at)
        return text_at + name.removeprefix(decoder_at) if inside else name

    settings = import_peft().LoraConfig(
        r=lora.settings.rank,
        lora_alpha=lora.settings.alpha,
        lora_dropout=lora.settings.dropout,
        target_modules=[stock_name(name) for name in lora.layers],
        modules_to_save=[projector_at.removesuffix(".")],
        inference_mode=True,
        **lora.settings.extra,
    )
    state = {stock_name(n).replace(".default.", "."): value for n, value in lora.state.items()}
    state |= {projector_at + name: value.contiguous() for name, value in projector.items()}
    out.mkdir()
    settings.save_pretrained(str(out))
    save_file({PEFT_AT + n: v for n, v in state.items()}, out / "adapter_model.safetensors")
