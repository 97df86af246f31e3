"""Masks from boxes by a SAM-like model of `transformers`: preparing, prompting, scaling back.

Legend: B pictures, R boxes of a picture, h w the model's small masks.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

from diglot.core.types import SizeHW

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
BOXES_AT_ONCE = 16


@dataclass(frozen=True)
class ModelSquare:
    """How pictures lie on the model's square: SAM pads at the right and bottom, SAM 2 stretches."""

    side_px: int
    stretch: bool

    def resized_hw(self, size_hw: SizeHW) -> SizeHW:
        """Height and width of the resized picture on the square."""
        if self.stretch:
            return self.side_px, self.side_px
        scale = self.side_px / max(size_hw)
        return int(size_hw[0] * scale + 0.5), int(size_hw[1] * scale + 0.5)

    def pixels(self, picture: Image.Image) -> torch.Tensor:
        """The picture on the square, float32 (3, side, side), normalised, padded with zeros."""
        height, width = self.resized_hw((picture.height, picture.width))
        resized = picture.resize((width, height), Image.Resampling.BILINEAR)
        rgb_HW3 = (np.asarray(resized, np.float32) / 255 - MEAN) / STD
        canvas_HW3 = np.zeros((self.side_px, self.side_px, 3), np.float32)
        canvas_HW3[:height, :width] = rgb_HW3
        return torch.from_numpy(canvas_HW3).permute(2, 0, 1)

    def boxes(self, boxes_R4: np.ndarray, size_hw: SizeHW) -> torch.Tensor:
        """xyxy boxes of the picture as px of the square, float32 (R, 4)."""
        height, width = self.resized_hw(size_hw)
        y_scale, x_scale = height / size_hw[0], width / size_hw[1]
        scaled_R4 = boxes_R4 * np.array([x_scale, y_scale, x_scale, y_scale])
        return torch.tensor(scaled_R4, dtype=torch.float32)

    def masks(self, logits_Rhw: torch.Tensor, size_hw: SizeHW) -> np.ndarray:
        """The model's small masks at the picture's size, bool (R, height, width)."""
        height, width = self.resized_hw(size_hw)
        square_RSS = _scale_masks(logits_Rhw, (self.side_px, self.side_px))
        own_RHW = _scale_masks(square_RSS[:, :height, :width], size_hw)
        return (own_RHW > 0).numpy()


def _scale_masks(logits_Rhw: torch.Tensor, size_hw: SizeHW) -> torch.Tensor:
    scaled = torch.nn.functional.interpolate(
        logits_Rhw[:, None], size=tuple(size_hw), mode="bilinear", align_corners=False
    )
    return scaled[:, 0]


@torch.inference_mode()
def segment_on_canvas(
    pictures: Sequence[Image.Image],
    boxes: Sequence[np.ndarray],
    *,
    canvas: ModelSquare,
    encode: Callable[[torch.Tensor], Any],
    decode: Callable[[Any, int, torch.Tensor], tuple[torch.Tensor, torch.Tensor]],
) -> list[list[tuple[np.ndarray, float]]]:
    """A mask, bool (height, width), and its predicted IoU for each box of each picture.

    `encode` gives the embeddings of (B, 3, side, side) pixels; `decode(embeddings, index,
    boxes_R4)` the small masks (R, h, w) and predicted IoUs (R,) of one picture.
    """
    embedded = encode(torch.stack([canvas.pixels(picture) for picture in pictures]))
    found = []
    for index, (picture, boxes_R4) in enumerate(zip(pictures, boxes, strict=True)):
        size_hw = picture.size[1], picture.size[0]
        masks: list[tuple[np.ndarray, float]] = []
        for prompts_R4 in canvas.boxes(boxes_R4, size_hw).split(BOXES_AT_ONCE):
            logits_Rhw, iou_R = decode(embedded, index, prompts_R4)
            masks_RHW = canvas.masks(logits_Rhw.float().cpu(), size_hw)
            masks += zip(masks_RHW, iou_R.tolist(), strict=True)
        found.append(masks)
    return found
