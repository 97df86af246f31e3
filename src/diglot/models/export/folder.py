"""Writing a VLM as a stock folder: whole, or not at all."""

import importlib.util
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from huggingface_hub import save_torch_state_dict

from diglot import __version__
from diglot.core.errors import ConfigError
from diglot.files import replacing_folder
from diglot.models.export.adapter import ADAPTER, TakenLora, write_adapter
from diglot.models.export.card import model_card
from diglot.models.export.chat_template import image_template
from diglot.models.export.container import Container
from diglot.models.export.design import Design
from diglot.models.export.generation import generation_config
from diglot.models.export.tokens import add_tokens, language_state
from diglot.models.vlm import VLM

log = logging.getLogger(__name__)

ORIGIN = "diglot_export.json"


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where an export came from: what `--check` compares it with."""

    container: str
    checkpoint: str
    dtype: str | None
    diglot: str = __version__
    transformers: str = transformers.__version__


def write_export(
    vlm: VLM,
    design: Design,
    container: Container,
    out: Path,
    *,
    checkpoint: Path,
    dtype: torch.dtype | None = None,
    shard_size: str = "5GB",
    lora: TakenLora | None = None,
) -> None:
    """Write the stock folder. `dtype` None keeps the language model's; `lora` goes beside the base.

    Hold `files.lock_folder` where another process could write there.
    Raises ConfigError where the container cannot hold the model, or `out` holds something else.
    """
    refuse_misfit(container, design)
    refuse_occupied(out)
    if container.note:
        log.warning("%s", container.note)
    dtype = dtype or vlm.language.input_embeddings.weight.dtype
    tokens = [container.image_token, *container.extra_tokens(design)]
    tokenizer = add_tokens(vlm.language.tokenizer, tokens)
    processor = container.make_processor(vlm, design, tokenizer)
    template: Any = tokenizer.chat_template
    processor.chat_template = container.chat_template or image_template(
        template, container.image_text
    )
    config, state = stock_weights(vlm, design, container, tokenizer, dtype)
    image_token_id: Any = tokenizer.convert_tokens_to_ids(container.image_token)
    generation = generation_config(vlm.language.model, tokenizer, image_token_id)
    origin = Origin(
        container=container.name, checkpoint=str(checkpoint.resolve()), dtype=str(dtype)[6:]
    )
    with replacing_folder(out) as staging:
        save_weights(container, config, state, staging, shard_size)
        generation.save_pretrained(staging)
        processor.save_pretrained(staging)
        if lora:
            _write_adapter(lora, vlm, design, container, staging)
        card = model_card(container, checkpoint, processor)
        (staging / "README.md").write_text(card, "utf-8")
        (staging / ORIGIN).write_text(json.dumps(vars(origin), indent=2) + "\n", "utf-8")


def _write_adapter(
    lora: TakenLora, vlm: VLM, design: Design, container: Container, out: Path
) -> None:
    write_adapter(
        lora,
        vlm.language,
        out / ADAPTER,
        text_at=container.text_at,
        projector_at=container.projector_at,
        projector=container.projector_state(vlm, design),
    )


def refuse_misfit(container: Container, design: Design) -> None:
    """Raises ConfigError with every reason where the container cannot hold the design."""
    if misfits := container.find_misfits(design):
        raise ConfigError(
            f"{container.model_class} cannot hold this model: " + "; ".join(misfits),
            where="to",
            fix="`diglot export --list CHECKPOINT` says which containers can.",
        )


def refuse_occupied(out: Path) -> None:
    """Raises ConfigError where `out` holds anything but an earlier export."""
    if out.exists() and not (out / ORIGIN).exists() and (out.is_file() or any(out.iterdir())):
        raise ConfigError(
            "the folder holds files that are not of this command",
            expected=f"a new or empty folder, or one with {ORIGIN}",
            where=str(out),
            fix="Choose another --out.",
        )


def stock_weights(
    vlm: VLM, design: Design, container: Container, tokenizer: Any, dtype: torch.dtype
) -> tuple[Any, dict[str, torch.Tensor]]:
    """The container's config and weights, under the names of its modules."""
    decoder, head = language_state(vlm.language, len(tokenizer))
    image_token_id = tokenizer.convert_tokens_to_ids(container.image_token)
    config = container.make_config(vlm, design, image_token_id)
    config.get_text_config().vocab_size = len(head["weight"])
    config.dtype, config.architectures = dtype, [container.model_class]
    parts = {
        container.tower_at: container.tower_state(vlm),
        container.projector_at: container.projector_state(vlm, design),
        container.text_at: decoder,
        "lm_head.": head,
        "": container.extra_state(vlm),
    }
    state = {
        at + name: value.detach() for at, part in parts.items() for name, value in part.items()
    }
    return config, {n: v.to(dtype) if v.is_floating_point() else v for n, v in state.items()}


def save_weights(
    container: Container, config: Any, state: dict[str, torch.Tensor], out: Path, shard_size: str
) -> None:
    """Write weights and config: through the stock class, which checks every name, where it runs.

    Raises ConfigError where a weight does not fit.
    """
    if all(importlib.util.find_spec(name) for name in container.needs):
        with torch.device("meta"):
            model = getattr(transformers, container.model_class)(config)
        fill_model(model, state)
        model.save_pretrained(out, max_shard_size=shard_size)
        return
    if config.tie_word_embeddings:
        del state["lm_head.weight"]
    config.save_pretrained(out)
    save_torch_state_dict(state, out, max_shard_size=shard_size)


def fill_model(model: Any, state: dict[str, torch.Tensor]) -> None:
    """Put the weights in, without a copy. Raises ConfigError where one has no place or lacks."""
    try:
        model.load_state_dict(state, strict=True, assign=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:400]
        raise ConfigError(f"the weights do not fit the container: {reason}", where="to") from error
    model.tie_weights()
