"""Pairs of composed scenes: one object pasted twice, so that every correspondence is exact.

The same picture stands on two backgrounds, moved, scaled, turned, mirrored or partly hidden; a
place on it maps to both scenes by the two placements. Difficulty grows in four levels, a quarter of
the pairs each. The object is the same picture, so this asks less of a representation than
SPair-71k, whose pairs show two instances of a kind.
"""

import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from diglot.core.errors import ConfigError, DataError
from diglot.core.rng import check_seed
from diglot.data.pairs import Pair, PairImage
from diglot.synth.scene_pairs.config import LEVELS, VERSION, ScenePairsConfig
from diglot.synth.scene_pairs.warp import Placement, paste_picture
from diglot.synth.scenes.backgrounds import draw_background, photos_of_side
from diglot.synth.scenes.config import ScenesConfig
from diglot.synth.scenes.place import tight_box
from diglot.synth.scenes.pools import Pool

_SOLID_ALPHA = 128  # of 255: a pixel is the object's where it is at least half opaque
_TRIES = 40


class ScenePairMaker:
    """Makes the pairs. Pair i depends on (seed, i), the settings and the pictures alone."""

    def __init__(
        self,
        pools: Sequence[Pool],
        config: ScenePairsConfig,
        *,
        seed: int = 0,
        photos: Sequence[Path] = (),
    ) -> None:
        self.config, self.seed = config, check_seed(seed, where="--seed")
        self._kinds = [(pool, name) for pool in pools for name in pool.names]
        self._odds = [1 / len(pools) / len(pool.names) for pool, _ in self._kinds]
        if len(self._kinds) < 2 + config.others[1]:
            raise ConfigError(
                "too few kinds of objects for crowded scenes",
                expected=f"{2 + config.others[1]} or more",
                got=len(self._kinds),
            )
        self._photos = photos_of_side(photos, "test")
        self._behind = ScenesConfig(
            image_px=config.image_px,
            object_px=config.object_px,
            background_px=config.background_px,
            texture_share=config.texture_share,
        )

    @property
    def info(self) -> dict[str, Any]:
        """How these pairs are made: two equal infos give equal pairs."""
        kinds = [f"{pool.name}/{name}" for pool, name in self._kinds]
        pictures = "\n".join(kinds + [photo.name for photo in self._photos])
        return {
            "made_by": f"scene pairs v{VERSION}",
            "seed": self.seed,
            "config": asdict(self.config),
            "pictures": f"{zlib.crc32(pictures.encode()):08x}",
        }

    @property
    def if_none_fits(self) -> str:
        """What to change where no pair can be made."""
        return "Ask for smaller objects, fewer others, or less that must be visible."

    def pair_id(self, index: int) -> str:
        """The id of pair `index`."""
        return f"scenes-{self.seed}-{index:06d}"

    def pair(self, index: int) -> Pair:
        """Pair `index`. Raises DataError where a picture cannot be read or nothing fits."""
        rng = np.random.default_rng([self.seed, zlib.crc32(b"scene pairs"), index])
        level = index % len(LEVELS)
        for _ in range(_TRIES):
            found = self._try(self.pair_id(index), level, rng)
            if found is not None:
                return found
        raise DataError("no two scenes show enough of the object", where=self.pair_id(index))

    def _try(self, id: str, level: int, rng: np.random.Generator) -> Pair | None:
        config = self.config
        number = 1 + config.others[1]
        drawn = rng.choice(len(self._kinds), number, replace=False, p=self._odds)
        pool, name = self._kinds[drawn[0]]
        pictures = pool.pictures(name, "test")
        thing = pool, str(pictures[int(rng.integers(len(pictures)))])
        uv_K2 = _sample_points(pool.render(thing[1], 256), config.keypoints, rng)
        others = [self._kinds[k] for k in drawn[1:]] if level == 3 else []
        sides = []
        for number in (0, 1):
            scene = self._scene(thing, level, others, rng, target=number == 1)
            if scene is None:
                return None
            sides.append(_pair_image(scene, uv_K2, config.jpeg_quality))
        (source, visible_source_K, _), (target, visible_target_K, box) = sides
        visible_K = visible_source_K & visible_target_K
        if visible_K.sum() < config.min_keypoints:
            return None
        return Pair(
            id=id,
            category=name,
            source=source,
            target=target,
            box=box,
            visible_K=visible_K,
            groups=(LEVELS[level],),
        )

    def _scene(
        self,
        thing: tuple[Pool, str],
        level: int,
        others: Sequence[tuple[Pool, str]],
        rng: np.random.Generator,
        *,
        target: bool,
    ) -> "_Scene | None":
        """One scene with the object, or None where too little of it shows."""
        config = self.config
        canvas = draw_background(self._photos, self._behind, rng)
        crowded = bool(others)
        count = int(rng.integers(config.others[0], config.others[1] + 1)) if crowded else 0
        before, after = _split_things(list(others[:count]), rng)
        for pool, name in before:
            paste_picture(canvas, *self._other(pool, name, rng))
        picture, placement = self._place_picture(
            thing, config.object_px, rng, level if target else 0, crowded=crowded
        )
        visible = paste_picture(canvas, picture, placement) >= _SOLID_ALPHA
        for pool, name in after:
            visible &= paste_picture(canvas, *self._other(pool, name, rng)) == 0
        solid = np.asarray(picture.getchannel("A")) >= _SOLID_ALPHA
        if visible.sum() < max(1, config.min_visible * solid.sum() if crowded else 1):
            return None
        return _Scene(canvas, placement, visible)

    def _place_picture(
        self,
        thing: tuple[Pool, str],
        size_px: tuple[int, int],
        rng: np.random.Generator,
        level: int,
        *,
        crowded: bool,
    ) -> tuple[Image.Image, Placement]:
        config = self.config
        pool, key = thing
        picture = pool.render(key, int(rng.integers(size_px[0], size_px[1] + 1)))
        angle = float(rng.uniform(-config.turn_deg, config.turn_deg)) if level >= 1 else 0.0
        flat = Placement(size_wh=picture.size, center_xy=(0.0, 0.0), turn_deg=angle)
        reach_xy = abs(flat.to_canvas(np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]]))).max(0)
        margin_xy = reach_xy * (0.3 if crowded else 1.0)  # crowded: part may lie beyond the frame
        low_xy = np.minimum(margin_xy, config.image_px / 2)
        center = rng.uniform(low_xy, config.image_px - low_xy)
        return picture, Placement(
            size_wh=picture.size,
            center_xy=(float(center[0]), float(center[1])),
            turn_deg=angle,
            mirrored=level == 2 or (level == 3 and bool(rng.random() < 0.5)),
        )

    def _other(
        self, pool: Pool, name: str, rng: np.random.Generator
    ) -> tuple[Image.Image, Placement]:
        pictures = pool.pictures(name, "test")
        key = str(pictures[int(rng.integers(len(pictures)))])
        return self._place_picture((pool, key), self.config.other_px, rng, 1, crowded=True)


@dataclass(frozen=True)
class _Scene:
    canvas: Image.Image
    placement: Placement
    visible: np.ndarray  # bool (H, W): where the object shows


def _split_things(things: list, rng: np.random.Generator) -> tuple[list, list]:
    """Those behind the object, those in front of it."""
    cut = int(rng.integers(len(things) + 1))
    return things[:cut], things[cut:]


def _sample_points(picture: Image.Image, count: int, rng: np.random.Generator) -> np.ndarray:
    """Places (u, v) on the object's solid part, spread out: each the farthest of a few draws."""
    solid = np.asarray(picture.getchannel("A")) >= _SOLID_ALPHA
    rows, columns = np.nonzero(solid)
    size_wh = np.array(picture.size)
    drawn = rng.integers(len(rows), size=(count, 8))
    xy = np.stack([columns[drawn], rows[drawn]], axis=-1) + rng.random((count, 8, 2))
    chosen = [xy[0, 0]]
    for candidates in xy[1:]:
        gaps = np.linalg.norm(candidates[:, None] - np.array(chosen)[None], axis=-1).min(axis=1)
        chosen.append(candidates[gaps.argmax()])
    return np.array(chosen) / size_wh


def _pair_image(
    scene: _Scene, uv_K2: np.ndarray, quality: int
) -> tuple[PairImage, np.ndarray, tuple[float, float, float, float]]:
    """The scene as one side of a pair, which points show, and the box of what shows."""
    points_K2 = scene.placement.to_canvas(uv_K2)
    side = scene.canvas.width
    inside_K = ((points_K2 >= 0) & (points_K2 < side)).all(axis=1)
    x_K, y_K = points_K2.clip(0, side - 1).astype(np.int64).T
    stream = BytesIO()
    scene.canvas.save(stream, "JPEG", quality=quality)
    image = PairImage(image=stream.getvalue(), size_hw=(side, side), points_K2=points_K2)
    return image, inside_K & scene.visible[y_K, x_K], tight_box(scene.visible)
