"""Scenes of rendered words and charts, MMCS's stated limit (its Limitations), with exact regions.

Scene i depends on the seed, the split, i, the settings, the fonts and Pillow alone. A text's region
is its box; a bar's, a point's or a slice's is the pixels that were drawn for it.
"""

from collections.abc import Sequence
from dataclasses import asdict
from io import BytesIO
from random import Random
from typing import Any

import numpy as np
import PIL
from PIL import Image

from diglot.core import masks
from diglot.core.errors import ConfigError, DataError
from diglot.core.types import Lineage, Region, Sample
from diglot.synth.scenes import words
from diglot.synth.scenes.place import tight_box
from diglot.synth.text_pairs.fonts import Family, fonts_digest
from diglot.synth.text_pairs.words import Draw
from diglot.synth.text_scenes.captions import write_caption
from diglot.synth.text_scenes.config import SPLITS, VERSION, Kind, TextScenesConfig
from diglot.synth.text_scenes.page import Page, draw_chart_page, draw_words_page

_TRIES = 40


class TextSceneMaker:
    """Makes the scenes of one split."""

    def __init__(
        self,
        families: Sequence[Family],
        config: TextScenesConfig,
        kind: Kind,
        *,
        split: str = "train",
        seed: int = 0,
    ) -> None:
        """Raises ConfigError for a split that such scenes have not."""
        if split not in SPLITS:
            expected = " or ".join(SPLITS)
            raise ConfigError(f"no such split of {kind}", expected=expected, got=split)
        if split == "test_words" and not config.held_out_words:
            raise ConfigError("split test_words needs text.held_out_words")
        self.families, self.config, self.kind = families, config, kind
        self.split, self.seed = split, seed
        revision = f"{kind} v{VERSION} seed {seed}"
        self._lineage = (Lineage(step="scenes", revision=revision),)

    @property
    def info(self) -> dict[str, Any]:
        """How these scenes are made, for `dataset.json`: two equal infos give equal scenes."""
        return {
            "made_by": f"{self.kind} v{VERSION}",
            "seed": self.seed,
            "split": self.split,
            "config": _spell_config(self.config),
            "fonts": fonts_digest(self.families),
            "pillow": PIL.__version__,
        }

    def scene_id(self, index: int) -> str:
        """The id of scene `index`."""
        return f"{self.kind}-{self.split}-{self.seed}-{index:06d}"

    def scene(self, index: int) -> Sample:
        """Scene `index`. Raises DataError where no drawing of it can be read."""
        id = self.scene_id(index)
        rng = Random(id)
        for _ in range(_TRIES):
            page = self._draw(rng)
            if page is not None and page.things:
                return self._compose(id, page, rng)
        raise DataError("no drawing whose texts can be read", where=id)

    def _draw(self, rng: Random) -> Page | None:
        draw = Draw(
            rng,
            held_out=self.config.held_out_words,
            only_held_out=self.split == "test_words",
        )
        if self.kind == "charts":
            return draw_chart_page(self.families, rng, draw)
        return draw_words_page(self.families, self.config.texts, rng, draw)

    def _compose(self, id: str, page: Page, rng: Random) -> Sample:
        side = self.config.image_px
        picture, scale, corner = _fit_page(page.image, side, rng)
        masks_RHW = [_move_mask(thing.mask_HW, scale, corner, side) for thing in page.things]
        boxes = [tight_box(mask_HW) for mask_HW in masks_RHW]
        places = [
            words.name_place(((x0 + x1) / 2, (y0 + y1) / 2), side) for x0, y0, x1, y1 in boxes
        ]
        count = min(rng.randint(*self.config.mentions), len(page.things))
        named = sorted(rng.sample(range(len(page.things)), count))
        caption, spans = write_caption(page, named, places, rng, values=self.config.values)
        regions = tuple(
            Region(
                phrase=thing.phrase,
                label=thing.phrase,
                span=spans.get(index),
                box=box,
                mask=masks.encode_mask(mask_HW),
                source=f"{self.kind}/{'text' if thing.is_text else 'part'}",
            )
            for index, (thing, box, mask_HW) in enumerate(
                zip(page.things, boxes, masks_RHW, strict=True)
            )
            if index in spans
        )
        return Sample.captioned(
            id=id,
            image=_encode_jpeg(picture, self.config.jpeg_quality),
            size_hw=(side, side),
            caption=caption,
            regions=regions,
            lineage=self._lineage,
        )


def _spell_config(config: TextScenesConfig) -> dict[str, Any]:
    """All fields; what a first version had not only where it changes the scenes."""
    fields, later = asdict(config), ("values", "held_out_words")
    return {name: value for name, value in fields.items() if value or name not in later}


def _fit_page(
    page: Image.Image, side: int, rng: Random
) -> tuple[Image.Image, float, tuple[int, int]]:
    """The page somewhere on a square, shrunk where it is larger; scale and top left corner."""
    scale = min(1.0, side / max(page.size))
    width, height = (max(1, round(scale * px)) for px in page.size)
    corner = rng.randint(0, side - width), rng.randint(0, side - height)
    ground = rng.randint(30, 225), rng.randint(30, 225), rng.randint(30, 225)
    square = Image.new("RGB", (side, side), ground)
    if (width, height) != page.size:
        page = page.resize((width, height), Image.Resampling.LANCZOS)
    square.paste(page, corner)
    return square, scale, corner


def _move_mask(mask_HW: np.ndarray, scale: float, corner: tuple[int, int], side: int) -> np.ndarray:
    """The mask as `_fit` moves its page: a pixel is set where any part of it is the thing's."""
    picture = Image.fromarray(mask_HW.astype(np.uint8) * 255)
    if scale < 1:
        size = max(1, round(scale * picture.width)), max(1, round(scale * picture.height))
        picture = picture.resize(size, Image.Resampling.BOX)
    square = Image.new("L", (side, side), 0)
    square.paste(picture, corner)
    return np.asarray(square) > 0


def _encode_jpeg(picture: Image.Image, quality: int) -> bytes:
    buffer = BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()
