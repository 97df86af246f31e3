"""Lfm2Vl: SigLIP2 at native resolution, unshuffle, and our MLP with or without LayerNorm as it is.

One view an image, of the image's own aspect. An image with a side below half a token's cell is
resized otherwise there: to one row of cells, however small that is.
"""

import copy
from typing import Any

import torch
from transformers import Lfm2VlConfig, PreTrainedTokenizerFast

from diglot.core.types import SizeHW
from diglot.models.encoder import unshuffle_cells
from diglot.models.export.container import (
    IMAGE_TOKEN,
    Container,
    State,
    encoder_misfits,
    language_misfits,
    layer_misfits,
    mode_misfits,
)
from diglot.models.export.design import Design
from diglot.models.export.images import pixel_settings
from diglot.models.export.mark_rules import mark_misfits, marks_of
from diglot.models.export.mlp_projector import linear_pair, mlp_misfits
from diglot.models.export.written_processor import WrittenProcessor
from diglot.models.vlm import VLM


class Lfm2Vl(Container):
    """Writes a model as a folder that `Lfm2VlForConditionalGeneration` loads."""

    name, model_class = "lfm2_vl", "Lfm2VlForConditionalGeneration"

    def find_misfits(self, design: Design) -> list[str]:
        return [
            *encoder_misfits(design, ("siglip2",)),
            *layer_misfits(design, reads_last=True),
            *mode_misfits(design, ("native",)),
            *_bound_misfits(design),
            *mark_misfits(design, allowed=("start", "end"), required=("start", "end")),
            *mlp_misfits(
                design,
                unshuffle=True,
                input_norm=None,
                activations=("gelu", "quick_gelu", "silu"),
                free_width=True,
            ),
            *language_misfits(design),
        ]

    def make_config(self, vlm: VLM, design: Design, image_token_id: int) -> Any:
        projector: Any = vlm.projector
        return Lfm2VlConfig(
            vision_config=copy.deepcopy(vlm.encoder.tower.config),
            text_config=copy.deepcopy(vlm.language.model.config),
            image_token_id=image_token_id,
            projector_hidden_act=str(design.activation),
            projector_hidden_size=projector.fc1.out_features,
            projector_use_layernorm=design.projector["input_norm"],
            downsample_factor=vlm.unshuffle,
            tie_word_embeddings=vlm.language.model.config.tie_word_embeddings,
        )

    def projector_state(self, vlm: VLM, design: Design) -> State:
        return linear_pair(vlm.projector, norm="layer_norm")

    def pixel_inputs(self, vlm: VLM, pixels_V3HW: torch.Tensor, size_hw: SizeHW) -> State:
        patches_VhwE = unshuffle_cells(pixels_V3HW.permute(0, 2, 3, 1), vlm.encoder.patch_px)
        views, rows, columns, _ = patches_VhwE.shape
        return {
            "pixel_values": patches_VhwE.flatten(1, 2),
            "pixel_attention_mask": torch.ones(views, rows * columns, dtype=torch.int64),
            "spatial_shapes": torch.tensor([[rows, columns]] * views),
        }

    def make_processor(self, vlm: VLM, design: Design, tokenizer: PreTrainedTokenizerFast) -> Any:
        preprocess, marks = vlm.preprocess, marks_of(design)
        cell = (vlm.encoder.patch_px * vlm.unshuffle) ** 2
        images = {
            "image_processor_type": "Lfm2VlImageProcessor",
            "encoder_patch_size": vlm.encoder.patch_px,
            "downsample_factor": vlm.unshuffle,
            "do_image_splitting": False,
            "min_image_tokens": preprocess.min_pixels // cell,
            "max_image_tokens": preprocess.max_pixels // cell,
            **pixel_settings(vlm),
        }
        tokens = {
            "image_token": IMAGE_TOKEN,
            "image_start_token": marks.start,
            "image_end_token": marks.end,
        }
        settings = {"image_processor": images}
        return WrittenProcessor("Lfm2VlProcessor", tokenizer, settings, named_tokens=tokens)


def _bound_misfits(design: Design) -> list[str]:
    """Bounds on an image's area that are no whole number of tokens."""
    preprocess, patch_px = design.preprocess, getattr(design.tower, "patch_size", None)
    if preprocess is None or patch_px is None or preprocess.mode != "native":
        return []
    cell = (patch_px * design.projector.get("unshuffle", 1)) ** 2
    return [
        f"preprocess.{name} {value}: a multiple of a token's {cell} pixels"
        for name in ("min_pixels", "max_pixels")
        if (value := getattr(preprocess, name)) % cell
    ]


CONTAINER = Lfm2Vl()
