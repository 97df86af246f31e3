"""A model that was opened from a stock checkpoint, written as that container again.

Processor, tokenizer, chat template and generation config are the checkpoint's own files, and every
weight is the module's: what was not trained is the same to the bit.
"""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import transformers
from huggingface_hub import snapshot_download
from transformers import AutoConfig

from diglot.core.errors import ConfigError
from diglot.files import replacing_folder
from diglot.models.adapters.images import read_images
from diglot.models.adapters.names import KNOWN
from diglot.models.adapters.stock import stock_preprocess, stock_state
from diglot.models.checkpoint import TEMPLATE
from diglot.models.export.chat_template import image_template
from diglot.models.export.folder import ORIGIN, Origin, fill_model, refuse_occupied
from diglot.models.export.generation import drop_unused_sampling
from diglot.models.prompt import read_image_text
from diglot.models.vlm import VLM

SMALL_FILES = ("*.json", "*.jinja", "*.txt", "*.model", "*.md")
ANYRES = ("llava_next", "llava_onevision")
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

    Hold `files.lock_folder` where another process could write there.
    Raises ConfigError where `to` is another container, or `out` holds something else.
    """
    refuse_occupied(out)
    config = AutoConfig.from_pretrained(path, revision=revision, trust_remote_code=False)
    if to != config.model_type:
        raise ConfigError(
            "a stock checkpoint goes back into its own container",
            expected=config.model_type,
            got=to,
            where="to",
        )
    kept: Any = (
        getattr(torch, dtype)
        if dtype
        else config.dtype or vlm.language.input_embeddings.weight.dtype
    )
    _match_preprocess(vlm, config, path, revision)
    model = _assemble_model(vlm, config, kept)
    # transformers before 5.23 refuses to write them; the checkpoint's own file is copied below
    drop_unused_sampling(model.generation_config)
    origin = Origin(container=to, checkpoint=str(Path(path).resolve()), dtype=str(kept)[6:])
    with replacing_folder(out) as staging:
        model.save_pretrained(staging)
        _copy_small_files(path, revision, staging)
        if config.model_type in ANYRES:
            _write_pinpoints(config.image_grid_pinpoints, staging)
        if template := vlm.language.learned_template:
            written = read_image_text(vlm.language.tokenizer).written
            (staging / TEMPLATE).write_text(image_template(template, written), "utf-8")
        (staging / ORIGIN).write_text(json.dumps(vars(origin), indent=2) + "\n", "utf-8")


def _match_preprocess(vlm: VLM, config: Any, path: str, revision: str | None) -> None:
    """Other grids of tiles go into the config; raises ConfigError where another thing differs."""
    images = read_images(path, revision)
    served = stock_preprocess(config, images, path, revision, vlm.language.tokenizer)
    if replace(vlm.preprocess, tile_grids=served.tile_grids) != served:
        raise ConfigError(
            "the model's images are prepared otherwise than the checkpoint's processor will",
            expected=str(served),
            got=str(vlm.preprocess),
            where="model.preprocess",
        )
    if config.model_type in ANYRES and vlm.preprocess.tile_grids != served.tile_grids:
        side = served.image_px
        config.image_grid_pinpoints = [
            [rows * side, columns * side] for rows, columns in vlm.preprocess.tile_grids
        ]


def _write_pinpoints(pinpoints: list[list[int]], out: Path) -> None:
    """The sizes of joined tiles into the processor's files."""
    for name in ("preprocessor_config.json", "processor_config.json"):
        if not (out / name).exists():
            continue
        fields = json.loads((out / name).read_text("utf-8"))
        images = fields.get("image_processor", fields)
        if images.get("image_grid_pinpoints", pinpoints) != pinpoints:
            images["image_grid_pinpoints"] = pinpoints
            (out / name).write_text(json.dumps(fields, indent=2) + "\n", "utf-8")


def _assemble_model(vlm: VLM, config: Any, dtype: torch.dtype) -> Any:
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
