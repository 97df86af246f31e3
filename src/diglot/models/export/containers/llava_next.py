"""LlavaNext (LLaVA-1.6): Llava with anyres tiles; a learned vector ends each line of the tiles."""

from typing import Any

import torch
from transformers import (
    LlavaNextConfig,
    LlavaNextImageProcessorPil,
    LlavaNextProcessor,
    PreTrainedTokenizerFast,
)

from diglot.core.types import SizeHW
from diglot.models.export.container import Container, State
from diglot.models.export.containers.llava import llava_counts, llava_misfits, llava_settings
from diglot.models.export.design import Design
from diglot.models.export.images import pixel_settings, square_size
from diglot.models.export.mlp_projector import linear_pair
from diglot.models.vlm import VLM


class LlavaNext(Container):
    """Writes a model as a folder that `LlavaNextForConditionalGeneration` loads."""

    name, model_class = "llava_next", "LlavaNextForConditionalGeneration"

    def find_misfits(self, design: Design) -> list[str]:
        return llava_misfits(design, ("anyres",))

    def make_config(self, vlm: VLM, design: Design, image_token_id: int) -> Any:
        settings = llava_settings(vlm, design, image_token_id)
        return LlavaNextConfig(**settings, image_grid_pinpoints=grid_pinpoints(vlm))

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
