"""LlavaOnevision: LlavaNext's tiles and newline with SigLIP, beside videos that we do not make.

Of several images in one conversation the stock processor shows each once, padded to a square, where
we show the tiles of each: train it on records of one image.
"""

import copy
from typing import Any

from transformers import (
    LlavaOnevisionConfig,
    LlavaOnevisionImageProcessorPil,
    PreTrainedTokenizerFast,
)

from diglot.models.export.container import IMAGE_TOKEN, hidden_layer
from diglot.models.export.containers.llava_next import LlavaNext, grid_pinpoints
from diglot.models.export.design import Design
from diglot.models.export.images import pixel_settings, square_size
from diglot.models.export.written_processor import WrittenProcessor
from diglot.models.vlm import VLM

VIDEO_TOKEN = "<video>"
MOST_TILES = 9
"""Its default: joined tiles of more than 1.21 times as many are shrunk, so more is written."""


class LlavaOnevision(LlavaNext):
    """Writes a model as a folder that `LlavaOnevisionForConditionalGeneration` loads."""

    name, model_class = "llava_onevision", "LlavaOnevisionForConditionalGeneration"
    families = ("siglip",)
    note = (
        "Its processor shows each of several images of a record in one view, where the model "
        "learned tiles: ask about one image at a time."
    )

    def make_config(self, vlm: VLM, design: Design, image_token_id: int) -> Any:
        make: Any = LlavaOnevisionConfig  # its signature hides the fields that it keeps
        return make(
            vision_config=copy.deepcopy(vlm.encoder.tower.config),
            text_config=copy.deepcopy(vlm.language.model.config),
            image_token_index=image_token_id,
            video_token_index=image_token_id + 1,  # they are added one behind the other
            image_grid_pinpoints=grid_pinpoints(vlm),
            projector_hidden_act=str(design.activation),
            vision_feature_select_strategy="full",
            vision_feature_layer=hidden_layer(design),
            vision_aspect_ratio=_aspect_mode(vlm),
            tie_word_embeddings=vlm.language.model.config.tie_word_embeddings,
        )

    def extra_tokens(self, design: Design) -> list[str]:
        return [VIDEO_TOKEN]

    def make_processor(self, vlm: VLM, design: Design, tokenizer: PreTrainedTokenizerFast) -> Any:
        side = vlm.preprocess.image_px
        images: Any = LlavaOnevisionImageProcessorPil(
            size=square_size(side), image_grid_pinpoints=grid_pinpoints(vlm), **pixel_settings(vlm)
        )
        settings = {
            "image_processor": images.to_dict(),
            "video_processor": {
                "video_processor_type": "LlavaOnevisionVideoProcessor",
                "size": square_size(side),
                **pixel_settings(vlm),
            },
            "num_image_tokens": (side // vlm.encoder.patch_px) ** 2,
            "vision_feature_select_strategy": "full",
            "vision_aspect_ratio": _aspect_mode(vlm),
            "image_token": IMAGE_TOKEN,
            "video_token": VIDEO_TOKEN,
        }
        return WrittenProcessor("LlavaOnevisionProcessor", tokenizer, settings)


def _aspect_mode(vlm: VLM) -> str:
    """How it joins tiles, with so many allowed that it never shrinks them."""
    tiles = max(rows * columns for rows, columns in vlm.preprocess.tile_grids)
    return f"anyres_max_{max(tiles, MOST_TILES)}"


CONTAINER = LlavaOnevision()
