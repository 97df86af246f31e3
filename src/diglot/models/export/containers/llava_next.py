"""LlavaNext (LLaVA-1.6): Llava with anyres tiles; a learned vector ends each line of the tiles."""

import copy
from typing import Any

import torch
from transformers import (
    LlavaNextConfig,
    LlavaNextImageProcessorPil,
    LlavaNextProcessor,
    PreTrainedTokenizerFast,
)

from diglot.core.types import SizeHW
from diglot.models.export.container import (
    STRATEGY,
    Container,
    State,
    encoder_misfits,
    hidden_layer,
    language_misfits,
    layer_misfits,
    mode_misfits,
    size_misfits,
)
from diglot.models.export.containers.llava import llava_counts
from diglot.models.export.design import Design
from diglot.models.export.images import pixel_settings, square_size
from diglot.models.export.mlp_projector import linear_pair, mlp_misfits
from diglot.models.vlm import VLM


class LlavaNext(Container):
    """Writes a model as a folder that `LlavaNextForConditionalGeneration` loads."""

    name, model_class = "llava_next", "LlavaNextForConditionalGeneration"
    families = tuple(STRATEGY)

    def find_misfits(self, design: Design) -> list[str]:
        return [
            *encoder_misfits(design, self.families),
            *layer_misfits(design, reads_last=False),
            *mode_misfits(design, ("anyres",)),
            *size_misfits(design),
            *mlp_misfits(
                design,
                unshuffle=False,
                input_norm=False,
                activations=("gelu", "quick_gelu", "silu"),
                free_width=False,
            ),
            *language_misfits(design),
        ]

    def make_config(self, vlm: VLM, design: Design, image_token_id: int) -> Any:
        side = vlm.preprocess.image_px // vlm.encoder.patch_px
        return LlavaNextConfig(
            vision_config=copy.deepcopy(vlm.encoder.tower.config),
            text_config=copy.deepcopy(vlm.language.model.config),
            image_token_index=image_token_id,
            image_seq_length=side * side,
            image_grid_pinpoints=grid_pinpoints(vlm),
            projector_hidden_act=str(design.activation),
            vision_feature_select_strategy=STRATEGY[design.encoder["name"]],  # pyright: ignore
            vision_feature_layer=hidden_layer(design),
            tie_word_embeddings=vlm.language.model.config.tie_word_embeddings,
        )

    def projector_state(self, vlm: VLM, design: Design) -> State:
        return linear_pair(vlm.projector)

    def extra_state(self, vlm: VLM) -> State:
        projector: Any = vlm.projector
        return {"model.image_newline": projector.separators[0]}

    def pixel_inputs(self, vlm: VLM, pixels_V3HW: torch.Tensor, size_hw: SizeHW) -> State:
        return {"pixel_values": pixels_V3HW[None], "image_sizes": torch.tensor([size_hw])}

    def make_processor(self, vlm: VLM, design: Design, tokenizer: PreTrainedTokenizerFast) -> Any:
        side = vlm.preprocess.image_px
        images = LlavaNextImageProcessorPil(
            size={"shortest_edge": side},
            crop_size=square_size(side),
            image_grid_pinpoints=grid_pinpoints(vlm),
            **pixel_settings(vlm),
        )
        counts = llava_counts(vlm, design)
        return LlavaNextProcessor(image_processor=images, tokenizer=tokenizer, **counts)


def grid_pinpoints(vlm: VLM) -> list[list[int]]:
    """The sizes (height, width) in pixels that an image may be brought to."""
    side = vlm.preprocess.image_px
    return [[rows * side, columns * side] for rows, columns in vlm.preprocess.tile_grids]


CONTAINER = LlavaNext()
