"""Idefics3 (and, with SmolLM2, all that SmolVLM is but videos): SigLIP, unshuffle, one matrix.

The stock processor writes two tokens before an image and one behind it. One view an image: it cuts
larger pictures by resizing them twice, which we do not.
"""

import copy
from typing import Any

import torch
from transformers import (
    Idefics3Config,
    Idefics3ImageProcessorPil,
    Idefics3Processor,
    PreTrainedTokenizerFast,
)

from diglot.core.types import SizeHW
from diglot.models.export.container import (
    Container,
    State,
    encoder_misfits,
    language_misfits,
    layer_misfits,
    mode_misfits,
    size_misfits,
)
from diglot.models.export.design import Design
from diglot.models.export.images import pixel_settings, square_size
from diglot.models.export.mark_rules import marks_of
from diglot.models.export.mlp_projector import linear_misfits
from diglot.models.vlm import VLM

FAKE, GLOBAL, END_OF_UTTERANCE = "<fake_token_around_image>", "<global-img>", "<end_of_utterance>"
VISION = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
VISION += ("num_channels", "image_size", "patch_size", "hidden_act", "layer_norm_eps")


class Idefics3(Container):
    """Writes a model as a folder that `Idefics3ForConditionalGeneration` loads."""

    name, model_class = "idefics3", "Idefics3ForConditionalGeneration"
    tower_at, projector_at = "model.vision_model.", "model.connector.modality_projection."
    text_at = "model.text_model."

    def find_misfits(self, design: Design) -> list[str]:
        return [
            *encoder_misfits(design, ("siglip",)),
            *layer_misfits(design, reads_last=True),
            *mode_misfits(design, ("squash",)),
            *size_misfits(design),
            *_mark_misfits(design),
            *linear_misfits(design, bias=False),
            *language_misfits(design),
        ]

    def make_config(self, vlm: VLM, design: Design, image_token_id: int) -> Any:
        tower: Any = vlm.encoder.tower.config
        return Idefics3Config(
            vision_config={name: getattr(tower, name) for name in VISION},
            text_config=copy.deepcopy(vlm.language.model.config),
            image_token_id=image_token_id,
            scale_factor=vlm.unshuffle,
            tie_word_embeddings=vlm.language.model.config.tie_word_embeddings,
        )

    def tower_state(self, vlm: VLM) -> State:
        state = super().tower_state(vlm)
        return {name: value for name, value in state.items() if not name.startswith("head.")}

    def projector_state(self, vlm: VLM, design: Design) -> State:
        projector: Any = vlm.projector
        return {"proj.weight": projector.fc.weight}

    def extra_tokens(self, design: Design) -> list[str]:
        return [FAKE, END_OF_UTTERANCE]

    def pixel_inputs(self, vlm: VLM, pixels_V3HW: torch.Tensor, size_hw: SizeHW) -> State:
        return {"pixel_values": pixels_V3HW[None]}

    def make_processor(self, vlm: VLM, design: Design, tokenizer: PreTrainedTokenizerFast) -> Any:
        side = vlm.preprocess.image_px
        images = Idefics3ImageProcessorPil(
            size=square_size(side),  # both of its steps to one size: the second changes nothing
            max_image_size={"longest_edge": side},
            do_image_splitting=False,
            **pixel_settings(vlm),
        )
        tokens = (side // vlm.encoder.patch_px // vlm.unshuffle) ** 2
        return Idefics3Processor(images, tokenizer, image_seq_len=tokens)


def _mark_misfits(design: Design) -> list[str]:
    marks = marks_of(design)
    if (marks.start + marks.image, marks.view_end + marks.end) == (FAKE + GLOBAL, FAKE):
        return []
    expected = f"image: {FAKE}{GLOBAL}, end: {FAKE}, new_tokens: [{FAKE}]"
    return [f"preprocess.marks: its processor writes {expected}"]


CONTAINER = Idefics3()
