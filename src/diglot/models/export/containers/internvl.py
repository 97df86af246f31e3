"""InternVL: its own ViT, which DINOv2 is by other names; LayerNorm, unshuffle, two linear layers.

The position table is DINOv2's own interpolation to the view's size. SigLIP has no class token and
CLIP another order of norms, so neither goes in.
"""

import copy
import re
from typing import Any

import torch
from transformers import GotOcr2ImageProcessorPil, InternVLConfig, PreTrainedTokenizerFast

from diglot.models.export.container import (
    IMAGE_TOKEN,
    Container,
    State,
    encoder_misfits,
    language_misfits,
    mode_misfits,
    thumbnail_misfits,
)
from diglot.models.export.design import Design
from diglot.models.export.images import pixel_settings, square_size
from diglot.models.export.mark_rules import mark_misfits, marks_of
from diglot.models.export.mlp_projector import linear_pair, mlp_misfits
from diglot.models.export.written_processor import WrittenProcessor
from diglot.models.vlm import VLM

VIDEO_TOKEN = "<video>"
THEIRS = {
    r"\.norm1\.": ".layernorm_before.",
    r"\.norm2\.": ".layernorm_after.",
    r"\.attention\.o_proj\.": ".attention.projection_layer.",
    r"\.layer_scale(\d)\.lambda1$": r".lambda_\1",
}


class InternVL(Container):
    """Writes a model as a folder that `InternVLForConditionalGeneration` loads."""

    name, model_class = "internvl", "InternVLForConditionalGeneration"

    def find_misfits(self, design: Design) -> list[str]:
        swiglu = getattr(design.tower, "use_swiglu_ffn", False)
        return [
            *encoder_misfits(design, ("dinov2",)),
            *["a tower with gated layers: its have two matrices"] * swiglu,
            *mode_misfits(design, ("squash", "tiles")),
            *thumbnail_misfits(design, "tiles"),
            *mark_misfits(design, allowed=("start", "end"), required=("start", "end")),
            *mlp_misfits(
                design,
                unshuffle=True,
                input_norm=True,
                activations=("gelu", "quick_gelu", "silu"),
                free_width=False,
            ),
            *language_misfits(design),
        ]

    def make_config(self, vlm: VLM, design: Design, image_token_id: int) -> Any:
        side, layer = vlm.preprocess.image_px, design.encoder["layer"]
        return InternVLConfig(
            vision_config=_vision_config(vlm.encoder.tower.config, side, normed=layer == "last"),
            text_config=copy.deepcopy(vlm.language.model.config),
            image_token_id=image_token_id,
            image_seq_length=_view_tokens(vlm),
            downsample_ratio=1 / vlm.unshuffle,
            projector_hidden_act=str(design.activation),
            vision_feature_layer=-1 if layer == "last" else layer,
            vision_feature_select_strategy="default",
            tie_word_embeddings=vlm.language.model.config.tie_word_embeddings,
        )

    def tower_state(self, vlm: VLM) -> State:
        state = super().tower_state(vlm)
        del state["embeddings.mask_token"]
        if vlm.encoder.layer != "last":  # it has no norm behind the last layer then
            del state["layernorm.weight"], state["layernorm.bias"]
        state["embeddings.position_embeddings"] = _position_table(vlm)
        return {_rename_weight(name): value for name, value in state.items()}

    def projector_state(self, vlm: VLM, design: Design) -> State:
        return linear_pair(vlm.projector, norm="layer_norm")

    def extra_tokens(self, design: Design) -> list[str]:
        return [VIDEO_TOKEN]

    def make_processor(self, vlm: VLM, design: Design, tokenizer: PreTrainedTokenizerFast) -> Any:
        preprocess, marks = vlm.preprocess, marks_of(design)
        most = preprocess.max_tiles if preprocess.mode == "tiles" else 1
        size, pixels = square_size(preprocess.image_px), pixel_settings(vlm)
        images: Any = GotOcr2ImageProcessorPil(
            size=size, crop_to_patches=most > 1, min_patches=1, max_patches=most, **pixels
        )
        video = {"video_processor_type": "InternVLVideoProcessor", "size": size, **pixels}
        settings = {
            "image_processor": images.to_dict(),
            "video_processor": video,
            "image_seq_length": _view_tokens(vlm),
        }
        tokens = {
            "start_image_token": marks.start,
            "end_image_token": marks.end,
            "context_image_token": IMAGE_TOKEN,
            "video_token": VIDEO_TOKEN,
        }
        return WrittenProcessor("InternVLProcessor", tokenizer, settings, named_tokens=tokens)


def _view_tokens(vlm: VLM) -> int:
    return (vlm.preprocess.image_px // vlm.encoder.patch_px // vlm.unshuffle) ** 2


def _vision_config(tower: Any, side_px: int, *, normed: bool) -> dict[str, Any]:
    """DINOv2's settings by InternVL's names."""
    same = ("hidden_size", "num_hidden_layers", "num_attention_heads", "num_channels")
    return {
        **{name: getattr(tower, name) for name in (*same, "hidden_act", "layer_norm_eps")},
        "intermediate_size": int(tower.hidden_size * tower.mlp_ratio),
        "attention_bias": tower.qkv_bias,
        "image_size": [side_px, side_px],
        "patch_size": [tower.patch_size, tower.patch_size],
        "use_mean_pooling": not normed,
    }


@torch.no_grad()
def _position_table(vlm: VLM) -> torch.Tensor:
    """DINOv2's position table (1, 1 + patches, E) for the views' size."""
    embeddings: Any = vlm.encoder.tower.embeddings
    side = vlm.preprocess.image_px
    count = 1 + (side // vlm.encoder.patch_px) ** 2
    blank_1NE = torch.zeros(1, count, vlm.encoder.width)
    return embeddings.interpolate_pos_encoding(blank_1NE, side, side)


def _rename_weight(name: str) -> str:
    for ours, theirs in THEIRS.items():
        name = re.sub(ours, theirs, name)
    return name


CONTAINER = InternVL()
