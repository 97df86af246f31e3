"""Llava (LLaVA-1.5): one view an image, Linear-activation-Linear as wide as the LLM."""

import copy
from typing import Any

from transformers import LlavaConfig, LlavaProcessor, PreTrainedTokenizerFast

from diglot.models.export.container import (
    PREFIX_TOKENS,
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
from diglot.models.export.design import Design
from diglot.models.export.images import one_view_processor
from diglot.models.export.mlp_projector import linear_pair, plain_mlp_misfits
from diglot.models.vlm import VLM

MODES = ("squash", "center_crop", "pad")


class Llava(Container):
    """Writes a model as a folder that `LlavaForConditionalGeneration` loads."""

    name, model_class = "llava", "LlavaForConditionalGeneration"
    modes = MODES

    def find_misfits(self, design: Design) -> list[str]:
        return llava_misfits(design, self.modes)

    def make_config(self, vlm: VLM, design: Design, image_token_id: int) -> Any:
        return LlavaConfig(**llava_settings(vlm, design, image_token_id))

    def projector_state(self, vlm: VLM, design: Design) -> State:
        return linear_pair(vlm.projector)

    def make_processor(self, vlm: VLM, design: Design, tokenizer: PreTrainedTokenizerFast) -> Any:
        return LlavaProcessor(
            image_processor=one_view_processor(vlm),
            tokenizer=tokenizer,
            **llava_counts(vlm, design),
        )


def llava_misfits(design: Design, modes: tuple[str, ...]) -> list[str]:
    """Why LLaVA and its anyres form cannot hold the design exactly; they differ in the modes."""
    return [
        *encoder_misfits(design, tuple(STRATEGY)),
        *layer_misfits(design, reads_last=False),
        *mode_misfits(design, modes),
        *size_misfits(design),
        *plain_mlp_misfits(design),
        *language_misfits(design),
    ]


def llava_settings(vlm: VLM, design: Design, image_token_id: int) -> dict[str, Any]:
    """The fields of the stock config that both forms have."""
    side = vlm.preprocess.image_px // vlm.encoder.patch_px
    return {
        "vision_config": copy.deepcopy(vlm.encoder.tower.config),
        "text_config": copy.deepcopy(vlm.language.model.config),
        "image_token_index": image_token_id,
        "image_seq_length": side * side,
        "projector_hidden_act": str(design.activation),
        "vision_feature_select_strategy": STRATEGY[design.encoder["name"]],
        "vision_feature_layer": hidden_layer(design),
        "tie_word_embeddings": vlm.language.model.config.tie_word_embeddings,
    }


def llava_counts(vlm: VLM, design: Design) -> dict[str, Any]:
    """What the processors of the family count an image's tokens by."""
    encoder = design.encoder["name"]
    return {
        "patch_size": vlm.encoder.patch_px,
        "vision_feature_select_strategy": STRATEGY[encoder],
        "num_additional_image_tokens": PREFIX_TOKENS[encoder],
    }


CONTAINER = Llava()
