"""A container of your own: VipLlava, which is Llava with a LayerNorm before its projector.

Copy it, change the class, and name it by its dotted path, run from the folder above:

    diglot export runs/mine/model --to examples.own_container --out exported/mine --check
"""

import copy
from typing import Any

from transformers import VipLlavaConfig

from diglot.models.export.container import (
    State,
    encoder_misfits,
    hidden_layer,
    language_misfits,
    layer_misfits,
    mode_misfits,
    size_misfits,
)
from diglot.models.export.containers.llava import MODES, Llava
from diglot.models.export.design import Design
from diglot.models.export.mlp_projector import linear_pair, mlp_misfits
from diglot.models.vlm import VLM


class VipLlava(Llava):
    """`VipLlavaForConditionalGeneration`; image, tokens and processor are Llava's."""

    name, model_class = "examples.own_container", "VipLlavaForConditionalGeneration"

    def find_misfits(self, design: Design) -> list[str]:
        return [
            *encoder_misfits(design, ("clip",)),  # it drops one token before the patches
            *layer_misfits(design, reads_last=False),
            *mode_misfits(design, MODES),
            *size_misfits(design),
            *mlp_misfits(
                design, unshuffle=False, input_norm=True, activations=("gelu",), free_width=False
            ),
            *language_misfits(design),
        ]

    def make_config(self, vlm: VLM, design: Design, image_token_id: int) -> Any:
        projector: Any = vlm.projector
        return VipLlavaConfig(
            vision_config=copy.deepcopy(vlm.encoder.tower.config),
            text_config=copy.deepcopy(vlm.language.model.config),
            image_token_index=image_token_id,
            image_seq_length=(vlm.preprocess.image_px // vlm.encoder.patch_px) ** 2,
            projector_hidden_act=str(design.activation),
            projector_layernorm_eps=projector.norm.eps,
            vision_feature_layer=hidden_layer(design),
            tie_word_embeddings=vlm.language.model.config.tie_word_embeddings,
        )

    def projector_state(self, vlm: VLM, design: Design) -> State:
        return linear_pair(vlm.projector, norm="projector_layernorm")


CONTAINER = VipLlava()
