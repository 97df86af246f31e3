"""From pictures to the views a VLM takes, and to the features of its frozen encoder."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image

from diglot.models.processor import ViewProcessor
from diglot.models.vlm import VLM, map_by_shape


def picture_views(vlm: VLM, picture: Image.Image) -> tuple[torch.Tensor, ...]:
    """Normalised pixels (3, H, W) of every view of one picture."""
    return vlm.processor.picture_views(picture)


def encode_pictures(vlm: VLM, pictures: Sequence[Image.Image]) -> list[list[torch.Tensor]]:
    """Features (h, w, E) of every view of each picture, on the CPU."""
    return encode_by(vlm.encoder, vlm.processor, pictures)


@torch.no_grad()
def encode_by(
    encoder: Any, processor: ViewProcessor, pictures: Sequence[Image.Image]
) -> list[list[torch.Tensor]]:
    """`encode_pictures` by an encoder alone, without a language model."""
    views = [processor.picture_views(picture) for picture in pictures]
    device = next(encoder.parameters()).device
    flat = map_by_shape(encoder, [view.to(device) for picture in views for view in picture])
    features = iter([f.cpu() for f in flat])
    return [[next(features) for _ in picture] for picture in views]


def feature_key(encoder: Any, processor: ViewProcessor) -> str:
    """All that the encoder's features depend on, as a digest."""
    preprocess = processor.preprocess
    # native resolution rounds an image to whole merged cells
    merged = processor.merging.multiple if preprocess.mode in ("native", "naflex") else 1
    pixels = [encoder.resample, *encoder.mean, *encoder.std]
    inputs = [encoder.revision, preprocess.view_settings(), pixels, merged]
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:16]
