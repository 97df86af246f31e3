"""Pipelines of `diffusers` as what an encoder needs of them: VAE, denoiser, schedule, empty prompt.

Only the five pipelines that Law of Vision Representation uses are known. Their text encoders run
once, on the empty prompt; what they say is kept and they are let go.
"""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from diglot.core.errors import ConfigError
from diglot.models.pretrained import guard_loading, load_pretrained, read_pretrained

WHERE = "encoder.path"
MODELS = ("vae", "unet", "transformer", "text_encoder", "text_encoder_2", "text_encoder_3")
UNNEEDED = ("safety_checker", "feature_extractor", "image_encoder")
Condition = dict[str, torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class DiffusionParts:
    """What one denoising pass takes."""

    vae: Any
    denoiser: Any
    scheduler: Any
    condition: Condition
    """Tensors of one view for the denoiser's arguments; a dot in a name is of added_cond_kwargs."""
    is_unet: bool
    is_flow: bool
    """Whether it was trained by flow matching (Stable Diffusion 3)."""


def load_pipeline(path: str, revision: str | None, image_px: int) -> DiffusionParts:
    """The parts of a checkpoint, float32, from safetensors alone.

    Raises ConfigError where diffusers is missing, or the checkpoint is missing or not known here.
    """
    diffusers = _import_diffusers()
    found = guard_loading(
        lambda: diffusers.DiffusionPipeline.load_config(path, revision=revision),
        path=path,
        where=WHERE,
    )
    kind = str(found.get("_class_name"))
    if kind not in CONDITIONS:
        raise ConfigError(
            f"{path} is a {kind!r} pipeline",
            expected="one of " + ", ".join(CONDITIONS),
            where=WHERE,
        )
    models = _load_models(found, path, revision)
    pipeline = read_pretrained(
        getattr(diffusers, kind), path, where=WHERE, revision=revision, **models
    )
    with torch.no_grad():
        condition = CONDITIONS[kind](pipeline, image_px)
    is_unet = hasattr(pipeline, "unet")
    return DiffusionParts(
        vae=pipeline.vae,
        denoiser=pipeline.unet if is_unet else pipeline.transformer,
        scheduler=pipeline.scheduler,
        condition={name: value.detach().clone() for name, value in condition.items()},
        is_unet=is_unet,
        is_flow=kind == "StableDiffusion3Pipeline",
    )


def _import_diffusers() -> Any:
    try:
        import diffusers  # an extra
    except ImportError as error:
        raise ConfigError(
            "diffusion features need diffusers", fix="pip install 'diglot[diffusion]'"
        ) from error
    diffusers.utils.logging.disable_progress_bar()
    return diffusers


def _load_models(found: Mapping[str, Any], path: str, revision: str | None) -> dict[str, Any]:
    """Each model by the class that the checkpoint names, whole; None for what is not needed."""
    parts = {name: part for name, part in found.items() if isinstance(part, list)}
    models: dict[str, Any] = {
        name: None for name, part in parts.items() if name in UNNEEDED or part[0] is None
    }
    for name in sorted(set(MODELS) & set(parts) - set(models)):
        library, kind = parts[name]
        if library not in ("diffusers", "transformers"):
            raise ConfigError(
                f"its {name} is a class of {library!r}",
                expected="diffusers or transformers: code of a checkpoint's own is never run",
                where=WHERE,
            )
        models[name] = load_pretrained(
            getattr(importlib.import_module(library), kind),
            path,
            where=WHERE,
            subfolder=name,
            revision=revision,
            dtype=torch.float32,
        )
    return models


def _encode_prompt(pipeline: Any, image_px: int) -> Condition:
    """Stable Diffusion 1.5 and 2.1."""
    embeds, _ = pipeline.encode_prompt("", "cpu", 1, False)
    return {"encoder_hidden_states": embeds}


def _encode_no_image(pipeline: Any, image_px: int) -> Condition:
    """Image variations: zeros in the place of an image's embedding, as its guidance has it."""
    return {"encoder_hidden_states": torch.zeros(1, 1, pipeline.unet.config.cross_attention_dim)}


def _encode_xl(pipeline: Any, image_px: int) -> Condition:
    """XL: two text encoders, and the sizes of a picture that was neither resized nor cropped."""
    embeds, _, pooled, _ = pipeline.encode_prompt(
        "", device="cpu", do_classifier_free_guidance=False
    )
    sizes = pipeline._get_add_time_ids(
        (image_px, image_px),
        (0, 0),
        (image_px, image_px),
        dtype=embeds.dtype,
        text_encoder_projection_dim=pipeline.text_encoder_2.config.projection_dim,
    )
    return {
        "encoder_hidden_states": embeds,
        "added.text_embeds": pooled,
        "added.time_ids": sizes,
    }


def _encode_null_class(pipeline: Any, image_px: int) -> Condition:
    """DiT: the class behind the last."""
    return {"class_labels": torch.tensor([pipeline.transformer.config.num_embeds_ada_norm])}


def _encode_sd3(pipeline: Any, image_px: int) -> Condition:
    """Stable Diffusion 3, with or without its T5."""
    embeds, _, pooled, _ = pipeline.encode_prompt(
        "", None, None, device="cpu", do_classifier_free_guidance=False
    )
    return {"encoder_hidden_states": embeds, "pooled_projections": pooled}


CONDITIONS: dict[str, Callable[[Any, int], Condition]] = {
    "StableDiffusionPipeline": _encode_prompt,
    "StableDiffusionImageVariationPipeline": _encode_no_image,
    "StableDiffusionXLPipeline": _encode_xl,
    "DiTPipeline": _encode_null_class,
    "StableDiffusion3Pipeline": _encode_sd3,
}
