"""Cohere2Vision: SigLIP, 2 x 2 unshuffle and a SwiGLU of free width; a token ends each view."""

import copy
from typing import Any

from transformers import Cohere2VisionConfig, PreTrainedTokenizerFast

from diglot.models.export.container import (
    IMAGE_TOKEN,
    Container,
    State,
    encoder_misfits,
    language_misfits,
    layer_misfits,
    mode_misfits,
    size_misfits,
    thumbnail_misfits,
)
from diglot.models.export.design import Design
from diglot.models.export.images import pixel_settings, square_size
from diglot.models.export.mark_rules import mark_misfits, marks_of
from diglot.models.export.mlp_projector import SWIGLU_SCALE, mlp_misfits, swiglu_pair
from diglot.models.export.written_processor import WrittenProcessor
from diglot.models.vlm import VLM

MARKS = ("start", "view_end", "end")


class Cohere2Vision(Container):
    """Writes a model as a folder that `Cohere2VisionForConditionalGeneration` loads."""

    name, model_class = "cohere2_vision", "Cohere2VisionForConditionalGeneration"

    def find_misfits(self, design: Design) -> list[str]:
        return [
            *encoder_misfits(design, ("siglip",)),
            *layer_misfits(design, reads_last=True),
            *mode_misfits(design, ("squash", "cohere_tiles")),
            *thumbnail_misfits(design, "cohere_tiles"),
            *size_misfits(design),
            *mark_misfits(design, allowed=MARKS, required=MARKS),
            *mlp_misfits(
                design,
                unshuffle=True,
                input_norm=False,
                activations=tuple(SWIGLU_SCALE),
                free_width=True,
            ),
            *language_misfits(design),
        ]

    def make_config(self, vlm: VLM, design: Design, image_token_id: int) -> Any:
        projector: Any = vlm.projector
        return Cohere2VisionConfig(
            vision_config=copy.deepcopy(vlm.encoder.tower.config),
            text_config=copy.deepcopy(vlm.language.model.config),
            image_token_id=image_token_id,
            downsample_factor=vlm.unshuffle,
            alignment_intermediate_size=2 * projector.fc1.out_features,
            tie_word_embeddings=vlm.language.model.config.tie_word_embeddings,
        )

    def projector_state(self, vlm: VLM, design: Design) -> State:
        return swiglu_pair(vlm.projector, str(design.activation))

    def make_processor(self, vlm: VLM, design: Design, tokenizer: PreTrainedTokenizerFast) -> Any:
        side, marks = vlm.preprocess.image_px, marks_of(design)
        most = vlm.preprocess.max_tiles if vlm.preprocess.mode == "cohere_tiles" else 1
        images = {
            "image_processor_type": "Cohere2VisionImageProcessor",
            "size": square_size(side),
            "crop_to_patches": most > 1,
            "max_patches": most,
            # in its words the tokens of a row of a view
            "patch_size": side // vlm.encoder.patch_px // vlm.unshuffle,
            **pixel_settings(vlm),
        }
        tokens = {
            "image_token": IMAGE_TOKEN,
            "boi_token": marks.start,
            "img_line_break_token": marks.view_end,
            "eoi_token": marks.end,
        }
        settings = {"image_processor": images}
        return WrittenProcessor("Cohere2VisionProcessor", tokenizer, settings, named_tokens=tokens)


CONTAINER = Cohere2Vision()
