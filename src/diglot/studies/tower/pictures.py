"""Batches of pictures whose every object is known: crowded ones for names, scenes for captions.

A scene shows four objects, so that most of its patches teach nothing but background. A crowded
picture is a grid of 9 to 16 objects: four times as many views of photographs for the same work.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageEnhance

from diglot.data.images import decode_image
from diglot.studies.tower.config import PicturesConfig, TowerShape
from diglot.synth.scenes.backgrounds import draw_background
from diglot.synth.scenes.compose import SceneMaker
from diglot.synth.scenes.config import ScenesConfig
from diglot.synth.scenes.embedded import embedded_backgrounds, embedded_pools
from diglot.synth.scenes.pools import Pool

Box = tuple[float, float, float, float]
LEAST_OBJECT, MOST_OBJECT = 96 / 448, 160 / 448  # of a picture's side, as in scenes by default


@dataclass(frozen=True)
class KnownObject:
    """One object of a batch."""

    picture: int  # index in the batch
    name: int  # index in the names
    box: Box  # x0, y0, x1, y1 in px


@dataclass(frozen=True)
class PictureBatch:
    """Pixels (B, 3, P, P) in [-1, 1], what they show, and the captions of some of them."""

    pixels_B3PP: torch.Tensor
    objects: list[KnownObject]
    captions: dict[int, str]  # by picture


class PictureMaker:
    """Draws batches of training pictures; batch i depends on the seed, i and the settings alone."""

    def __init__(self, config: PicturesConfig, shape: TowerShape, *, seed: int) -> None:
        self.config, self.side, self.seed = config, shape.image_px, seed
        self.photos, self.drawings = embedded_pools()
        self.names = sorted({*self.photos.names, *self.drawings.names})
        self._scene = ScenesConfig(
            image_px=shape.image_px,
            object_px=(round(LEAST_OBJECT * shape.image_px), round(MOST_OBJECT * shape.image_px)),
        )
        self._backgrounds = embedded_backgrounds()
        self._maker = SceneMaker(
            [self.photos, self.drawings], self._scene, seed=seed, photos=self._backgrounds
        )

    def batch(self, index: int) -> PictureBatch:
        """Batch `index`: the crowded pictures, then the scenes."""
        rng = np.random.default_rng([self.seed, index])
        pictures: list[Image.Image] = []
        objects: list[KnownObject] = []
        for number in range(self.config.crowded):
            picture, found = self._crowd(number, rng)
            pictures.append(picture)
            objects += found
        captions = {}
        for number in range(self.config.scenes):
            scene = self._maker.scene(index * self.config.scenes + number)
            at = len(pictures)
            pictures.append(decode_image(scene.images[0]))
            captions[at] = scene.caption
            objects += [
                KnownObject(at, self.names.index(region.label or ""), region.box)
                for region in scene.regions
            ]
        return PictureBatch(to_pixels(pictures), objects, captions)

    def _crowd(
        self, number: int, rng: np.random.Generator
    ) -> tuple[Image.Image, list[KnownObject]]:
        """One picture with an object in every cell of a grid."""
        canvas = draw_background(self._backgrounds, self._scene, rng)
        fewest, most = self.config.cells
        cells = int(rng.integers(fewest, most + 1))
        cell_px = self.side / cells
        objects = []
        for row in range(cells):
            for column in range(cells):
                name, picture = self._object(int(cell_px * rng.uniform(0.75, 1.0)), rng)
                free_w, free_h = cell_px - picture.width, cell_px - picture.height
                x0 = int(column * cell_px + rng.uniform(0, max(free_w, 0)))
                y0 = int(row * cell_px + rng.uniform(0, max(free_h, 0)))
                canvas.paste(picture, (x0, y0), mask=picture)
                box = (x0, y0, x0 + picture.width, y0 + picture.height)
                objects.append(KnownObject(number, self.names.index(name), box))
        return canvas, objects

    def _object(self, size_px: int, rng: np.random.Generator) -> tuple[str, Image.Image]:
        """An object's name and picture, its longest side `size_px`, cropped, flipped, jittered."""
        is_photo = rng.random() < self.config.photo_share
        pool: Pool = self.photos if is_photo else self.drawings
        name = pool.names[int(rng.integers(len(pool.names)))]
        keys = pool.pictures(name, "train")
        key = keys[int(rng.integers(len(keys)))]
        share = rng.uniform(self.config.least_crop, 1.0)
        picture = pool.render(key, round(size_px / share))
        if is_photo:
            picture = _crop(picture, share, rng)
            if rng.random() < 0.5:
                picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            picture = self._jitter(picture, rng)
        else:
            picture.thumbnail((size_px, size_px))
        return name, picture

    def _jitter(self, picture: Image.Image, rng: np.random.Generator) -> Image.Image:
        alpha = picture.getchannel("A")
        for change in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
            factor = 1 + rng.uniform(-self.config.jitter, self.config.jitter)
            picture = change(picture).enhance(factor)
        picture.putalpha(alpha)
        return picture


def _crop(picture: Image.Image, share: float, rng: np.random.Generator) -> Image.Image:
    """A random part whose sides are `share` of the picture's."""
    width, height = (max(1, round(side * share)) for side in picture.size)
    left = int(rng.integers(picture.width - width + 1))
    top = int(rng.integers(picture.height - height + 1))
    return picture.crop((left, top, left + width, top + height))


def to_pixels(pictures: Sequence[Image.Image]) -> torch.Tensor:
    """RGB pictures of one size as (B, 3, P, P) in [-1, 1]: SigLIP's statistics."""
    stacked_BPP3 = np.stack([np.asarray(picture.convert("RGB")) for picture in pictures])
    return torch.from_numpy(stacked_BPP3).permute(0, 3, 1, 2).float() / 127.5 - 1
