"""Batches of pictures whose every object is known: crowded ones for names, scenes for captions.

A scene shows four objects, so that most of its patches teach nothing but background. A crowded
picture is a grid of 9 to 16 objects: four times as many views of photographs for the same work.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageEnhance

from diglot.core.types import Region
from diglot.data.images import decode_image
from diglot.embedded.cifar10 import load_cifar10
from diglot.studies.tower.config import PicturesConfig, TowerShape
from diglot.synth.scenes.backgrounds import draw_background
from diglot.synth.scenes.compose import SceneMaker
from diglot.synth.scenes.config import ScenesConfig
from diglot.synth.scenes.embedded import embedded_backgrounds, embedded_pools
from diglot.synth.scenes.pools import round_corners

Box = tuple[float, float, float, float]
LEAST_OBJECT, MOST_OBJECT = 96 / 448, 160 / 448  # of a picture's side, as in scenes by default


@dataclass(frozen=True)
class KnownObject:
    """One object of a batch."""

    picture: int  # index in the batch
    name: int  # index in the names
    box: Box  # x0, y0, x1, y1 in px
    photo: int | None = None  # index of the training photograph it shows, if it shows one


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
        self._pixels_N = load_cifar10("train")[0]
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
                KnownObject(
                    at, self.names.index(region.label or ""), region.box, _photo_number(region)
                )
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
                name, picture, photo = self._object(int(cell_px * rng.uniform(0.75, 1.0)), rng)
                free_w, free_h = cell_px - picture.width, cell_px - picture.height
                x0 = int(column * cell_px + rng.uniform(0, max(free_w, 0)))
                y0 = int(row * cell_px + rng.uniform(0, max(free_h, 0)))
                canvas.paste(picture, (x0, y0), mask=picture)
                box = (x0, y0, x0 + picture.width, y0 + picture.height)
                objects.append(KnownObject(number, self.names.index(name), box, photo))
        return canvas, objects

    def _object(
        self, size_px: int, rng: np.random.Generator
    ) -> tuple[str, Image.Image, int | None]:
        """An object's name, its picture with the longest side `size_px`, and its photograph."""
        is_photo = rng.random() < self.config.photo_share
        pool = self.photos if is_photo else self.drawings
        name = pool.names[int(rng.integers(len(pool.names)))]
        keys = pool.pictures(name, "train")
        key = keys[int(rng.integers(len(keys)))]
        if not is_photo:
            return name, pool.render(key, size_px), None
        number = int(key.split("/")[1])
        return name, self._photo(number, size_px, rng), number

    def _photo(self, number: int, size_px: int, rng: np.random.Generator) -> Image.Image:
        """A random part of a training photograph, jittered and flipped at its own size first."""
        photo = self._jitter(Image.fromarray(np.asarray(self._pixels_N[number])), rng)
        if rng.random() < 0.5:
            photo = photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        side = photo.width * rng.uniform(self.config.least_crop, 1.0)
        left, top = rng.uniform(0, photo.width - side, size=2).tolist()
        box = (left, top, left + side, top + side)
        return round_corners(photo.resize((size_px, size_px), Image.Resampling.LANCZOS, box=box))

    def _jitter(self, photo: Image.Image, rng: np.random.Generator) -> Image.Image:
        for change in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
            factor = 1 + rng.uniform(-self.config.jitter, self.config.jitter)
            photo = change(photo).enhance(factor)
        return photo


def _photo_number(region: Region) -> int | None:
    """The index of the training photograph that a scene's object is, if it is one."""
    pool, _, key = region.source.partition("/")
    return int(key.split("/")[1]) if pool == "cifar10" else None


def to_pixels(pictures: Sequence[Image.Image]) -> torch.Tensor:
    """RGB pictures of one size as (B, 3, P, P) in [-1, 1]: SigLIP's statistics."""
    stacked_BPP3 = np.stack([np.asarray(picture.convert("RGB")) for picture in pictures])
    return torch.from_numpy(stacked_BPP3).permute(0, 3, 1, 2).float() / 127.5 - 1
