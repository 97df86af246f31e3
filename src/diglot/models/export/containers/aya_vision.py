"""AyaVision: LayerNorm, 2 x 2 unshuffle and a SwiGLU of free width, which holds our projector.

The stock order of a block's features is ours (row, column, channel). With empty marks and one view
an image is its visual tokens and nothing else; tiles are InternVL's, each behind its number.
"""

import copy
from typing import Any

from transformers import (
    AyaVisionConfig,
    AyaVisionProcessor,
    GotOcr2ImageProcessorPil,
    PreTrainedTokenizerFast,
)

from diglot.core.view_marks import ViewMarks
from diglot.models.export.container import (
    IMAGE_TOKEN,
    STRATEGY,
    Container,
    State,
    encoder_misfits,
    hidden_layer,
    language_misfits,
    layer_misfits,
    mode_misfits,
    size_misfits,
    thumbnail_misfits,
)
from diglot.models.export.design import Design
from diglot.models.export.images import pixel_settings, square_size
from diglot.models.export.mlp_projector import SWIGLU_SCALE, mlp_misfits, swiglu_pair
from diglot.models.vlm import VLM

NUMBER = "_{number}"  # what the stock processor writes behind its tile token


class AyaVision(Container):
    """Writes a model as a folder that `AyaVisionForConditionalGeneration` loads."""

    name, model_class = "aya_vision", "AyaVisionForConditionalGeneration"

    def find_misfits(self, design: Design) -> list[str]:
        return [
            *encoder_misfits(design, tuple(STRATEGY)),
            *layer_misfits(design, reads_last=False),
            *mode_misfits(design, ("squash", "tiles")),
            *_mark_misfits(design),
            *size_misfits(design),
            *mlp_misfits(
                design,
                unshuffle=True,
                input_norm=True,
                activations=tuple(SWIGLU_SCALE),
                free_width=True,
            ),
            *language_misfits(design),
        ]

    def make_config(self, vlm: VLM, design: Design, image_token_id: int) -> Any:
        projector: Any = vlm.projector
        make: Any = AyaVisionConfig  # its signature hides the fields that it keeps
        return make(
            vision_config=copy.deepcopy(vlm.encoder.tower.config),
            text_config=copy.deepcopy(vlm.language.model.config),
            image_token_index=image_token_id,
            vision_feature_select_strategy=STRATEGY[design.encoder["name"]],
            vision_feature_layer=hidden_layer(design),
            downsample_factor=vlm.unshuffle,
            alignment_intermediate_size=2 * projector.fc1.out_features,
            adapter_layer_norm_eps=projector.norm.eps,
            tie_word_embeddings=vlm.language.model.config.tie_word_embeddings,
        )

    def projector_state(self, vlm: VLM, design: Design) -> State:
        projector: Any = vlm.projector
        norm = {f"layernorm.{name}": value for name, value in projector.norm.state_dict().items()}
        return norm | swiglu_pair(projector, str(design.activation))

    def make_processor(self, vlm: VLM, design: Design, tokenizer: PreTrainedTokenizerFast) -> Any:
        preprocess = vlm.preprocess
        side, marks = preprocess.image_px, preprocess.marks or ViewMarks()
        most = preprocess.max_tiles if preprocess.mode == "tiles" else 1
        images = GotOcr2ImageProcessorPil(
            size=square_size(side),
            crop_to_patches=most > 1,
            min_patches=1,
            max_patches=most,  # the stock processor asks for crops whatever crop_to_patches says
            **pixel_settings(vlm),
        )
        return AyaVisionProcessor(
            image_processor=images,
            tokenizer=tokenizer,
            patch_size=vlm.encoder.patch_px * vlm.unshuffle,
            img_size=side,
            image_token=IMAGE_TOKEN,
            img_patch_token=IMAGE_TOKEN,
            start_of_img_token=marks.start,
            end_of_img_token=marks.end,
            tile_token=marks.tile.removesuffix(NUMBER),
            tile_global_token=marks.image,
        )


def _mark_misfits(design: Design) -> list[str]:
    """Marks that the stock processor would write otherwise."""
    preprocess = design.preprocess
    if preprocess is None:
        return []
    marks, reasons = preprocess.marks or ViewMarks(), thumbnail_misfits(design, "tiles")
    if preprocess.mode == "tiles" and preprocess.max_tiles > 1:
        if not marks.tile.endswith(NUMBER) or marks.tile.count("{") > 1:
            reasons.append(f"preprocess.marks.tile {marks.tile!r}: it ends with {NUMBER!r}")
        if marks.thumbnail != marks.image:
            reasons.append("preprocess.marks: its thumbnail and its image have the same")
    if marks.row_end or marks.view_end:
        reasons.append("preprocess.marks: it has neither row_end nor view_end")
    return reasons


CONTAINER = AyaVision()
