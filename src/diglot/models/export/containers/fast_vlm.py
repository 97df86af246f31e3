"""FastVlm: a convolutional tower of timm, Linear-activation-Linear as wide as the LLM.

EfficientNet-Lite0 is timm's `tf_efficientnet_lite0` by other names. The stock class needs timm, and
timm needs torchvision; the folder is written without them.
"""

import copy
from typing import Any

import torch
from transformers import (
    FastVlmConfig,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    TimmWrapperConfig,
)

from diglot.models.export.container import (
    Container,
    State,
    encoder_misfits,
    language_misfits,
    mode_misfits,
)
from diglot.models.export.design import Design
from diglot.models.export.images import one_view_processor
from diglot.models.export.mlp_projector import linear_pair, plain_mlp_misfits
from diglot.models.vlm import VLM

ARCHITECTURE = "tf_efficientnet_lite0"
STAGES = (1, 2, 2, 3, 3, 4, 1)  # blocks of each stage
OUTER = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2"}
FIRST = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
INVERTED = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


class FastVlm(Container):
    """Writes a model as a folder that `FastVlmForConditionalGeneration` loads."""

    name, model_class = "fast_vlm", "FastVlmForConditionalGeneration"
    needs = ("timm", "torchvision")

    def find_misfits(self, design: Design) -> list[str]:
        layer = design.encoder.get("layer")
        inner = [f"encoder.layer {layer}: it reads the last, layer: head"] * (layer != "head")
        others = encoder_misfits(design, ("efficientnet_lite0",))
        return [
            *(others or inner),
            *mode_misfits(design, ("squash", "center_crop")),
            *plain_mlp_misfits(design),
            *language_misfits(design),
        ]

    def make_config(self, vlm: VLM, design: Design, image_token_id: int) -> Any:
        side = vlm.preprocess.image_px // vlm.encoder.patch_px
        make_tower: Any = TimmWrapperConfig  # its signature hides the fields that it keeps
        return FastVlmConfig(
            vision_config=make_tower(
                architecture=ARCHITECTURE, do_pooling=True, hidden_size=vlm.encoder.width
            ),
            text_config=copy.deepcopy(vlm.language.model.config),
            image_token_index=image_token_id,
            image_seq_length=side * side,
            projector_hidden_act=str(design.activation),
            tie_word_embeddings=vlm.language.model.config.tie_word_embeddings,
        )

    def tower_state(self, vlm: VLM) -> State:
        return {f"timm_model.{name}": value for name, value in timm_state(vlm.encoder.net).items()}

    def projector_state(self, vlm: VLM, design: Design) -> State:
        return linear_pair(vlm.projector)

    def make_processor(self, vlm: VLM, design: Design, tokenizer: PreTrainedTokenizerFast) -> Any:
        return LlavaProcessor(
            image_processor=one_view_processor(vlm),
            tokenizer=tokenizer,
            patch_size=vlm.encoder.patch_px,
            vision_feature_select_strategy="full",
            num_additional_image_tokens=0,
        )


def timm_state(net: torch.nn.Module) -> State:
    """EfficientNet-Lite0's weights under timm's names, without the classifier."""
    places = [(stage, block) for stage, count in enumerate(STAGES) for block in range(count)]
    state: State = {}
    for name, value in net.state_dict().items():
        first, *rest = name.split(".")
        if first == "_fc":
            continue
        if first != "_blocks":
            state[".".join([OUTER[first], *rest])] = value
            continue
        number, layer, kind = int(rest[0]), rest[1], rest[2]
        stage, block = places[number]
        theirs = (FIRST if number == 0 else INVERTED)[layer]
        state[f"blocks.{stage}.{block}.{theirs}.{kind}"] = value
    return state


CONTAINER = FastVlm()
