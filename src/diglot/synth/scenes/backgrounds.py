"""What lies behind the objects: blurred photographs, or a plain texture."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from diglot.core.errors import DataError
from diglot.data.images import decode_image
from diglot.synth.scenes.config import ScenesConfig

_HELD_OUT_EVERY = 5


def photos_of_side(photos: Sequence[Path], side: str) -> list[Path]:
    """Every fifth photo is for testing alone; fewer than five serve both."""
    if len(photos) < _HELD_OUT_EVERY:
        return list(photos)
    held_out = side == "test"
    return [p for i, p in enumerate(photos) if (i % _HELD_OUT_EVERY == 4) == held_out]


def draw_background(
    photos: Sequence[Path], config: ScenesConfig, rng: np.random.Generator
) -> Image.Image:
    """An RGB square of `config.image_px`. Raises DataError for a photo that cannot be read."""
    if not photos or rng.random() < config.texture_share:
        return _draw_texture(config.image_px, rng)
    small = _shrink_photo(photos[int(rng.integers(len(photos)))], config.background_px)
    side = max(1, round(min(small.size) * rng.uniform(0.6, 1.0)))
    left, top = (int(rng.integers(extent - side + 1)) for extent in small.size)
    crop = small.crop((left, top, left + side, top + side))
    return crop.resize((config.image_px, config.image_px), Image.Resampling.BICUBIC)


@lru_cache(maxsize=1024)
def _shrink_photo(path: Path, side_px: int) -> Image.Image:
    photo = decode_image(path)
    factor = side_px / min(photo.size)
    if max(photo.size) > 64 * min(photo.size):
        raise DataError("photo is too narrow for a background", got=photo.size, where=str(path))
    size = (max(1, round(photo.width * factor)), max(1, round(photo.height * factor)))
    return photo.resize(size, Image.Resampling.BICUBIC)


def _draw_texture(side_px: int, rng: np.random.Generator) -> Image.Image:
    """A soft mottle around one random colour."""
    cells = int(rng.integers(2, 12))
    colour = rng.uniform(40, 215, size=3)
    mottle = rng.normal(0, rng.uniform(4, 20), size=(cells, cells, 1)) + rng.normal(
        0, 6, size=(cells, cells, 3)
    )
    pixels = np.clip(colour + mottle, 0, 255).astype(np.uint8)
    return Image.fromarray(pixels).resize((side_px, side_px), Image.Resampling.BICUBIC)
