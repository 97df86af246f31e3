"""A model that was opened from a stock checkpoint, written as that container again.

Processor, tokenizer, chat template and generation config are the checkpoint's own files, and every
weight is the module's: what was not trained is the same to the bit.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
import transformers
from huggingface_hub import snapshot_download
from transformers import AutoConfig

from diglot.core.errors import ConfigError
from diglot.files import replacing_folder
from diglot.models.adapters.stock import KNOWN, stock_state
from diglot.models.export.folder import ORIGIN, Origin, fill_model, refuse_occupied
from diglot.models.vlm import VLM

SMALL_FILES = ("*.json", "*.jinja", "*.txt", "*.model", "*.md")
MADE_ANEW = ("config.json", "model.safetensors.index.json", ORIGIN)


def write_stock(
    vlm: VLM,
    path: str,
    to: str,
    out: Path,
    *,
    revision: str | None = None,
    dtype: str | None = None,
) -> None:
    """Write the model that `path` was, with the VLM's weights. `dtype` None keeps the checkpoint's.

    Raises ConfigError where `to` is another container, or `out` holds something else.
    """
    refuse_occupied(out)
    config = AutoConfig.from_pretrained(path, revision=revision)
    if to != config.model_type:
        raise ConfigError(
            "a stock checkpoint goes back into its own container",
            expected=config.model_type,
            got=to,
            where="to",
        )
    kept: Any = getattr(torch, dtype) if dtype else config.dtype or vlm.language.words.weight.dtype
    model = _assemble(vlm, config, kept)
    origin = Origin(container=to, checkpoint=str(Path(path).resolve()), dtype=str(kept)[6:])
    with replacing_folder(out) as staging:
        model.save_pretrained(staging)
        _copy_small_files(path, revision, staging)
        (staging / ORIGIN).write_text(json.dumps(vars(origin), indent=2) + "\n", "utf-8")


def _assemble(vlm: VLM, config: Any, dtype: torch.dtype) -> Any:
    tower: Any = vlm.encoder.tower
    state = stock_state(KNOWN[config.model_type], tower, vlm.projector, vlm.language)
    config.dtype = dtype
    with torch.device("meta"):
        model = getattr(transformers, config.architectures[0])(config)
    fill_model(model, {name: value.detach().to(dtype) for name, value in state.items()})
    generation = vlm.language.model.generation_config
    model.generation_config = generation
    return model


def _copy_small_files(path: str, revision: str | None, out: Path) -> None:
    """The source's own files beside its weights and config."""
    source = Path(path)
    if not source.is_dir():
        patterns: Any = list(SMALL_FILES)
        found: Any = snapshot_download(path, revision=revision, allow_patterns=patterns)
        source = Path(found)
    for pattern in SMALL_FILES:
        for file in source.glob(pattern):
            if file.name not in MADE_ANEW:
                shutil.copy(file, out / file.name)
