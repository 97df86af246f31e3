"""Pixels for the views that core.geometry planned: the same resize and windows, on the picture."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from PIL import Image

from diglot.core.geometry import View
from diglot.models.encoder import RGB, Resample

RESAMPLE = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


class Scaled(Protocol):
    """What says how an encoder wants its pixels: the encoder itself, or its PixelScale."""

    @property
    def mean(self) -> RGB: ...
    @property
    def std(self) -> RGB: ...
    @property
    def resample(self) -> Resample: ...


def view_pixels(image: Image.Image, views: Sequence[View], scale: Scaled) -> list[torch.Tensor]:
    """Normalised pixels float32 (3, H, W) of each view; padding is of the view's colour."""
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (scale.mean, scale.std))
    mean_fill = tuple(int(255 * channel) for channel in scale.mean)
    resized: dict[tuple[int, int], Image.Image] = {}
    pixels = []
    for view in views:
        fill = mean_fill if view.padding == "mean" else (0, 0, 0)
        if view.resize_hw not in resized:  # the views of an image have one canvas
            size_wh = view.resize_hw[1], view.resize_hw[0]
            whole = _cut_window(image, view.canvas, fill) if view.canvas else image
            resized[view.resize_hw] = whole.resize(size_wh, RESAMPLE[scale.resample])
        window = _cut_window(resized[view.resize_hw], view.window, fill)
        raw = torch.from_numpy(np.array(window, dtype=np.uint8)).permute(2, 0, 1)
        pixels.append((raw.float() / 255 - mean) / std)
    return pixels


def _cut_window(
    image: Image.Image, window: tuple[int, int, int, int], fill: tuple[int, ...]
) -> Image.Image:
    x0, y0, x1, y1 = window
    if (x0, y0, x1, y1) == (0, 0, image.width, image.height):
        return image
    canvas = Image.new("RGB", (x1 - x0, y1 - y0), fill)
    canvas.paste(image, (-x0, -y0))
    return canvas
