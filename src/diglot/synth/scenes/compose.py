"""Composing scenes: object pictures on a background, with exact boxes, masks and captions."""

import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from diglot.core import masks
from diglot.core.errors import DataError
from diglot.core.types import Lineage, Region, Sample
from diglot.synth.scenes import words
from diglot.synth.scenes.backgrounds import draw_background, photos_of_side
from diglot.synth.scenes.captions import Mention, write_caption
from diglot.synth.scenes.config import SCENES_VERSION, ScenesConfig, check_scene_split
from diglot.synth.scenes.place import Corner, find_places, tight_box
from diglot.synth.scenes.plan import PlannedObject, Planner, ScenePlan
from diglot.synth.scenes.pools import Pool
from diglot.synth.scenes.tint import tint_picture

_SOLID_ALPHA = 128  # of 255: a pixel is the object's where it is at least half opaque


class SceneMaker:
    """Makes the scenes of one split. Scene i depends on (seed, split, i) and the settings alone."""

    def __init__(
        self,
        pools: Sequence[Pool],
        config: ScenesConfig,
        *,
        split: str = "train",
        seed: int = 0,
        photos: Sequence[Path] = (),
    ) -> None:
        """`photos` are backgrounds. Raises ConfigError where pools, settings, split do not fit."""
        self.config, self.seed = config, seed
        self.split = check_scene_split(split)
        self._pools = list(pools)
        self._planner = Planner(pools, config, split)
        self._photos = photos_of_side(photos, "train" if split == "train" else "test")
        self._lineage = (Lineage(step="scenes", revision=f"v{SCENES_VERSION} seed {seed}"),)

    @property
    def info(self) -> dict[str, Any]:
        """How these scenes are made, for `dataset.json`: two equal infos give equal scenes."""
        return {
            "made_by": f"scenes v{SCENES_VERSION}",
            "seed": self.seed,
            "split": self.split,
            "config": asdict(self.config),
            "pools": {pool.name: _pool_info(pool) for pool in self._pools},
            "photos": _digest_names(path.name for path in self._photos),
        }

    def scene_id(self, index: int) -> str:
        """The id of scene `index`; `scene_index` undoes it."""
        return f"scene-{self.split}-{self.seed}-{index:06d}"

    def scene(self, index: int) -> Sample:
        """Scene `index`.

        Raises DataError where the drawn objects find no place or a picture cannot be read.
        """
        where = self.scene_id(index)
        try:
            return self._compose(where, self._rng(index))
        except DataError as error:
            raise error if error.where else DataError(error.what, where=where) from error

    def kinds_of(self, index: int) -> list[str]:
        """The kinds of objects that scene `index` shows, drawn without composing it.

        Raises DataError where no kinds may go together.
        """
        return [thing.name for thing in self._planner.draw(self._rng(index)).objects]

    def _rng(self, index: int) -> np.random.Generator:
        # zlib.crc32, as hash() of a string differs between processes.
        return np.random.default_rng([self.seed, zlib.crc32(self.split.encode()), index])

    def _compose(self, id: str, rng: np.random.Generator) -> Sample:
        plan = self._planner.draw(rng)
        canvas = draw_background(self._photos, self.config, rng)
        pictures = [_load_picture(thing) for thing in plan.objects]
        corners, owner = self._place(plan, pictures, rng)
        for picture, corner in zip(pictures, corners, strict=True):
            canvas.paste(picture, corner, mask=picture)
        visible = [owner == index for index in range(len(pictures))]
        text, spans = self._caption(plan, visible, rng)
        regions = tuple(
            Region(
                phrase=thing.phrase,
                label=thing.name,
                span=span,
                box=tight_box(mask),
                mask=masks.encode_mask(mask),
                source=f"{thing.pool.name}/{thing.key}",
            )
            for thing, mask, span in zip(plan.objects, visible, spans, strict=True)
        )
        return Sample.captioned(
            id=id,
            image=_encode_jpeg(canvas, self.config.jpeg_quality),
            size_hw=(canvas.height, canvas.width),
            caption=text,
            regions=regions,
            lineage=self._lineage,
        )

    def _place(
        self, plan: ScenePlan, pictures: list[Image.Image], rng: np.random.Generator
    ) -> tuple[list[Corner], np.ndarray]:
        config = self.config
        solids = [np.asarray(p.getchannel("A")) >= _SOLID_ALPHA for p in pictures]
        found = find_places(
            solids,
            config.image_px,
            rng,
            max_overlap=config.max_overlap,
            min_visible=config.min_visible,
            accepts=self._in_two_places if plan.apart_by == "place" else None,
        )
        if found is None:
            raise DataError("no room for the objects")
        return found

    def _in_two_places(self, corners: Sequence[Corner], owner: np.ndarray) -> bool:
        """Whether objects 0 and 1, of one kind, would be described by different places."""
        first, second = (_mask_center(owner == index) for index in (0, 1))
        px = self.config.image_px
        return words.name_place(first, px) != words.name_place(second, px)

    def _caption(
        self, plan: ScenePlan, visible: list[np.ndarray], rng: np.random.Generator
    ) -> tuple[str, list[tuple[int, int]]]:
        mentions = [
            Mention(
                name=thing.name,
                phrase=thing.phrase,
                center_xy=(center := _mask_center(mask)),
                place=words.name_place(center, self.config.image_px),
            )
            for thing, mask in zip(plan.objects, visible, strict=True)
        ]
        styles = self.config.styles
        return write_caption(mentions, styles[int(rng.integers(len(styles)))], rng)


def scene_index(id: str) -> int:
    """Which scene an id of `SceneMaker.scene_id` names."""
    return int(id.rsplit("-", 1)[1])


def _load_picture(thing: PlannedObject) -> Image.Image:
    picture = thing.pool.render(thing.key, thing.size_px)
    return tint_picture(picture, thing.colour) if thing.colour else picture


def _mask_center(mask: np.ndarray) -> tuple[float, float]:
    x0, y0, x1, y1 = tight_box(mask)
    return (x0 + x1) / 2, (y0 + y1) / 2


def _encode_jpeg(picture: Image.Image, quality: int) -> bytes:
    buffer = BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _pool_info(pool: Pool) -> dict[str, Any]:
    keys = (key for n in pool.names for side in ("train", "test") for key in pool.pictures(n, side))
    return {"share": pool.share, "names": len(pool.names), "pictures": _digest_names(keys)}


def _digest_names(names: Any) -> str:
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]
