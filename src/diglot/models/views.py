"""From pictures to the views a VLM takes, and to the features of its frozen encoder."""

import hashlib
import json
from collections.abc import Sequence

import torch
from PIL import Image

from diglot.models.vlm import VLM


def picture_views(vlm: VLM, picture: Image.Image) -> tuple[torch.Tensor, ...]:
    """Normalised pixels (3, H, W) of every view of one picture."""
    return vlm.processor.picture_views(picture)


@torch.no_grad()
def encode_pictures(vlm: VLM, pictures: Sequence[Image.Image]) -> list[list[torch.Tensor]]:
    """Features (h, w, E) of every view of each picture, on the CPU."""
    views = [picture_views(vlm, picture) for picture in pictures]
    device = next(vlm.encoder.parameters()).device
    flat = vlm.features([view.to(device) for picture in views for view in picture])
    features = iter([f.cpu() for f in flat])
    return [[next(features) for _ in picture] for picture in views]


def feature_key(vlm: VLM) -> str:
    """All that the encoder's features depend on, as a digest."""
    encoder = vlm.encoder
    # native resolution rounds an image to whole merged cells
    merged = vlm.unshuffle if vlm.preprocess.mode in ("native", "naflex") else 1
    pixels = [encoder.resample, *encoder.mean, *encoder.std]
    inputs = [encoder.revision, vlm.preprocess.view_settings(), pixels, merged]
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:16]
