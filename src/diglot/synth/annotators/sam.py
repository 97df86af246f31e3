"""SAM and SAM 2 / 2.1: masks from boxes (Kirillov et al. 2023; Ravi et al. 2025).

Pictures are prepared here, as the papers' processors do it, so that SAM 2 needs no torchvision.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import AutoConfig, Sam2Model, SamModel

from diglot.core.errors import ConfigError
from diglot.models.pretrained import read_pretrained
from diglot.synth.annotators._on_device import load_model, revision_of
from diglot.synth.annotators._sam_masks import ModelSquare, segment_on_canvas
from diglot.synth.device import find_device

MODELS = {"sam": SamModel, "sam2": Sam2Model, "sam2_video": Sam2Model}


@dataclass(frozen=True, kw_only=True)
class Config:
    """Options of the segmenter."""

    path: str = "facebook/sam2.1-hiera-large"
    """Checkpoint: a folder or a name on the hub; facebook/sam-vit-huge is SAM 1."""
    dtype: str = "float32"
    """float32, bfloat16 or float16."""


class SamMasks:
    """A SAM or SAM 2 checkpoint prompted with boxes: a mask and its predicted IoU for each."""

    def __init__(self, config: Config, model: Any) -> None:
        self._net = model
        side = model.config.prompt_encoder_config.image_size
        self._canvas = ModelSquare(side, stretch=isinstance(model, Sam2Model))
        self.model, self.revision = config.path, revision_of(model, config.path)

    def segment_boxes(
        self, pictures: Sequence[Image.Image], boxes: Sequence[np.ndarray]
    ) -> list[list[tuple[np.ndarray, float]]]:
        """A mask and its predicted IoU for each box (xyxy px) of each picture."""
        return segment_on_canvas(
            pictures, boxes, canvas=self._canvas, encode=self._encode, decode=self._decode
        )

    def _encode(self, pixels_B3SS: torch.Tensor) -> Any:
        return self._net.get_image_embeddings(pixels_B3SS.to(self._net.device, self._net.dtype))

    def _decode(
        self, embedded: Any, index: int, boxes_R4: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        is_list = isinstance(embedded, list | tuple)  # SAM 2 has features of several sizes
        own = [e[index : index + 1] for e in embedded] if is_list else embedded[index : index + 1]
        out = self._net(
            image_embeddings=own,
            input_boxes=boxes_R4[None].to(self._net.device),
            multimask_output=False,
        )
        return out.pred_masks[0, :, 0], out.iou_scores[0, :, 0].float()


def build(config: Config) -> SamMasks:
    """The segmenter on this worker's device. Raises ConfigError for another kind of model."""
    kind = read_pretrained(AutoConfig, config.path, where="sam").model_type
    if kind not in MODELS:
        raise ConfigError("not a SAM", expected=", ".join(MODELS), got=kind, where="sam.path")
    model = load_model(MODELS[kind], config.path, config.dtype, where="sam")
    return SamMasks(config, model.to(find_device()))
