"""MobileSAM: our TinyViT encoder, its prompt encoder and mask decoder in stock `SamModel`.

Zhang et al. 2023 (arXiv 2306.14289). The embedded segmenter, on the CPU.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from transformers import SamConfig, SamModel

from diglot.config.ranges import ImagePx
from diglot.core.errors import ConfigError
from diglot.embedded.mobilesam import ASSET, mobilesam_weights
from diglot.models.encoders import mobilesam as encoder
from diglot.synth.annotators._sam_masks import ModelSquare, segment_on_canvas

_RENAMED = (
    (r"^prompt_encoder\.pe_layer\.positional_encoding_gaussian_matrix$",
     "shared_image_embedding.positional_embedding"),
    (r"\.point_embeddings\.", ".point_embed."),
    (r"\.mask_downscaling\.0\.", ".mask_embed.conv1."),
    (r"\.mask_downscaling\.1\.", ".mask_embed.layer_norm1."),
    (r"\.mask_downscaling\.3\.", ".mask_embed.conv2."),
    (r"\.mask_downscaling\.4\.", ".mask_embed.layer_norm2."),
    (r"\.mask_downscaling\.6\.", ".mask_embed.conv3."),
    (r"\.output_upscaling\.0\.", ".upscale_conv1."),
    (r"\.output_upscaling\.1\.", ".upscale_layer_norm."),
    (r"\.output_upscaling\.3\.", ".upscale_conv2."),
    (r"\.norm(\d|_final_attn)\.", r".layer_norm\1."),
    (r"(hypernetworks_mlps\.\d|iou_prediction_head)\.layers\.0\.", r"\1.proj_in."),
    (r"(hypernetworks_mlps\.\d|iou_prediction_head)\.layers\.1\.", r"\1.layers.0."),
    (r"(hypernetworks_mlps\.\d|iou_prediction_head)\.layers\.2\.", r"\1.proj_out."),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Config:
    """Options of the segmenter."""

    image_px: ImagePx = 1024
    """Side of the square that pictures are padded to: 1024 as trained, 512 is five times faster; a
    multiple of 64."""

    def __post_init__(self) -> None:
        if self.image_px < 128 or self.image_px % 64:
            raise ConfigError("not a size of MobileSAM's", expected="64 x n", got=self.image_px)


class MobileSamMasks:
    """MobileSAM prompted with boxes: a mask and its predicted IoU for each."""

    model = ASSET.name

    def __init__(self, config: Config, net: encoder.MobileSAM, sam: SamModel) -> None:
        self._canvas = ModelSquare(config.image_px, stretch=False)
        self._net, self._sam = net, sam
        self.revision = f"{ASSET.sha256[:16]}-{config.image_px}px"

    def segment_boxes(
        self, pictures: Sequence[Image.Image], boxes: Sequence[np.ndarray]
    ) -> list[list[tuple[np.ndarray, float]]]:
        """A mask and its predicted IoU for each box (xyxy px) of each picture."""
        return segment_on_canvas(
            pictures, boxes, canvas=self._canvas, encode=self._encode, decode=self._decode
        )

    def _encode(self, pixels_B3SS: torch.Tensor) -> torch.Tensor:
        return self._net(pixels_B3SS).permute(0, 3, 1, 2)

    def _decode(
        self, embedded: torch.Tensor, index: int, boxes_R4: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        out = self._sam(
            image_embeddings=embedded[index : index + 1],
            input_boxes=boxes_R4[None],
            multimask_output=False,
        )
        return out.pred_masks[0, :, 0], out.iou_scores[0, :, 0]


def build(config: Config) -> MobileSamMasks:
    """The segmenter with its weights, fetched on demand, float32 on the CPU."""
    net = encoder.build(encoder.Config(image_px=config.image_px))
    return MobileSamMasks(config, net, load_prompt_decoder(config.image_px))


def load_prompt_decoder(image_px: int) -> SamModel:
    """MobileSAM's prompt encoder and mask decoder in a SamModel; its own image encoder is empty.

    Raises ConfigError where names or shapes of the weights are not those of SamModel.
    """
    vision = {
        "image_size": image_px,
        "num_hidden_layers": 0,
        "hidden_size": 8,
        "num_attention_heads": 1,
        "mlp_dim": 8,
        "global_attn_indexes": [],
    }
    prompts = {"image_size": image_px, "patch_size": 16}
    sam = SamModel(SamConfig(vision_config=vision, prompt_encoder_config=prompts)).eval()
    state = {
        _rename_weight(name): tensor
        for name, tensor in load_file(mobilesam_weights()).items()
        if not name.startswith(encoder.PREFIX)
    }
    shared = state["shared_image_embedding.positional_embedding"]
    state["prompt_encoder.shared_embedding.positional_embedding"] = shared
    result = sam.load_state_dict(state, strict=False)
    lost = [name for name in result.missing_keys if not name.startswith("vision_encoder.")]
    if lost or result.unexpected_keys:
        raise ConfigError(
            "MobileSAM's weights do not fit SamModel of this transformers",
            got=f"missing {lost[:3]}, unexpected {result.unexpected_keys[:3]}",
        )
    return sam


def _rename_weight(name: str) -> str:
    for pattern, new in _RENAMED:
        name = re.sub(pattern, new, name)
    return name
