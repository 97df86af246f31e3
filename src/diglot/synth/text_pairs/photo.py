"""Degrading a picture's pixels without moving them: uneven light, blur and noise."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter


@dataclass(frozen=True, kw_only=True)
class Degradation:
    """The largest value that is drawn of each."""

    shade: float  # share of the light that one side lacks
    blur_px: float  # standard deviation, up to 1
    noise: float  # standard deviation, of 255


def degrade_picture(
    pixels_HW3: np.ndarray, limits: Degradation, rng: np.random.Generator
) -> Image.Image:
    """The picture under uneven light, a little out of focus, with noise."""
    height, width, _ = pixels_HW3.shape
    angle = rng.uniform(0, 2 * np.pi)
    x_W = np.cos(angle) * np.linspace(-0.5, 0.5, width, dtype=np.float32)
    y_H = np.sin(angle) * np.linspace(-0.5, 0.5, height, dtype=np.float32)
    light_HW = 1 + np.float32(rng.uniform(0, limits.shade)) * (x_W[None] + y_H[:, None] - 0.5)
    noise_HW = rng.standard_normal((height, width), dtype=np.float32)
    noise_HW *= np.float32(rng.uniform(0, limits.noise))
    values_HW3 = pixels_HW3 * light_HW[..., None] + noise_HW[..., None]
    picture = Image.fromarray(values_HW3.clip(0, 255).astype(np.uint8))
    return picture.filter(_gaussian_3x3(rng.uniform(0.2, max(0.2, limits.blur_px))))


def _gaussian_3x3(sigma_px: float) -> ImageFilter.Kernel:
    """A small blur: nine weights hold nearly all of it up to a sigma of 1."""
    side_3 = np.exp(-(np.array([-1.0, 0.0, 1.0]) ** 2) / (2 * sigma_px**2))
    weights_33 = np.outer(side_3, side_3)
    return ImageFilter.Kernel((3, 3), (weights_33 / weights_33.sum()).ravel().tolist(), 1)
