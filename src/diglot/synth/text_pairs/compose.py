"""Pairs of pictures that show the same texts, or the same chart, in two ways.

Pair i depends on the seed, i, the settings, the fonts and Pillow alone. A keypoint is a place that
a text or the data name; it goes through layout and warp in closed form. A text stands once on a
page, so a keypoint has one right answer.
"""

from collections.abc import Sequence
from dataclasses import asdict
from io import BytesIO
from random import Random
from typing import Any

import numpy as np
import PIL

from diglot.core.errors import DataError
from diglot.core.types import Box
from diglot.data.pairs import Pair, PairImage
from diglot.synth.text_pairs.canvas import Canvas, Mark, enclose_boxes
from diglot.synth.text_pairs.config import VERSION, OcrPairsConfig
from diglot.synth.text_pairs.drawn import (
    DrawnPair,
    PageStyles,
    draw_characters,
    draw_charts,
    draw_words,
)
from diglot.synth.text_pairs.fonts import Family, fonts_digest
from diglot.synth.text_pairs.levels import LEVELS, Level, list_categories
from diglot.synth.text_pairs.page_style import draw_page_style
from diglot.synth.text_pairs.photo import degrade_picture
from diglot.synth.text_pairs.warp import Warp, draw_warp

_TRIES = 40
_PREFIX = "ocr"


class OcrPairMaker:
    """Draws pairs of pages of text or charts, and the points that match; seeded."""

    def __init__(
        self, families: Sequence[Family], config: OcrPairsConfig, *, seed: int = 0
    ) -> None:
        self.families, self.config, self.seed = families, config, seed

    @property
    def info(self) -> dict[str, Any]:
        """How these pairs are made: two equal infos give equal pairs."""
        return {
            "made_by": f"ocr pairs v{VERSION}",
            "seed": self.seed,
            "config": asdict(self.config),
            "fonts": fonts_digest(self.families),
            "families": [family.name for family in self.families],
            "pillow": PIL.__version__,
        }

    @property
    def if_none_fits(self) -> str:
        """What to change where no pair can be made."""
        return "Ask for fewer texts or keypoints."

    def pair_id(self, index: int) -> str:
        """The id of pair `index`."""
        return f"{_PREFIX}-{self.seed}-{index:06d}"

    def pair(self, index: int) -> Pair:
        """Pair `index`. Raises DataError where no drawing of it shows enough keypoints."""
        rng = Random(f"{self.seed}/{index}")
        categories = list_categories(self.config)
        category = categories[index % len(categories)]
        level = LEVELS[index // len(categories) % len(LEVELS)]
        for _ in range(_TRIES):
            drawn = self._draw_pages(category, level, rng)
            if not drawn.readable:
                continue
            pair = self._photograph_pages(self.pair_id(index), category, level, drawn, rng)
            if pair is not None:
                return pair
        raise DataError("too few keypoints show in both pictures", where=self.pair_id(index))

    def _draw_pages(self, category: str, level: Level, rng: Random) -> DrawnPair:
        what, name = category.split("/")
        page_styles = self._page_styles(level, rng)
        if what == "charts":
            return draw_charts(name, level, page_styles, rng)
        draw = draw_words if what == "words" else draw_characters
        return draw(name, level, page_styles, rng.randint(*self.config.texts), rng)

    def _page_styles(self, level: Level, rng: Random) -> PageStyles:
        """Two page styles, always of different families."""
        hue = rng.random()
        hues = hue, hue if level.same_hues else rng.random()
        first, second = (
            draw_page_style(
                family,
                rng,
                dark=rng.random() < 0.3,
                hue=part_hue,
                capitals=rng.random() < level.capitals,
            )
            for family, part_hue in zip(rng.sample(self.families, 2), hues, strict=True)
        )
        return first, second

    def _photograph_pages(
        self, id: str, category: str, level: Level, drawn: DrawnPair, rng: Random
    ) -> Pair | None:
        """Both pages warped and degraded, and where their marks went; None where too few show."""
        warps = [draw_warp(page.size_hw, level.strength, rng) for page in drawn.pages]
        inside_2K = [
            [_is_inside(warp.box(mark.box), warp.image_hw) for mark in marks]
            for marks, warp in zip(drawn.marks, warps, strict=True)
        ]
        visible_K = np.logical_and(*np.array(inside_2K, bool))
        if visible_K.sum() < self.config.min_keypoints:
            return None
        source, target = (
            self._render_side(page, marks, warp, level, rng)
            for page, marks, warp in zip(drawn.pages, drawn.marks, warps, strict=True)
        )
        return Pair(
            id=id,
            category=category,
            groups=(level.name,),
            source=source,
            target=target,
            box=_clip_box(
                enclose_boxes([warps[1].box(box) for box in drawn.boxes]), warps[1].image_hw
            ),
            visible_K=visible_K,
        )

    def _render_side(
        self, page: Canvas, marks: Sequence[Mark], warp: Warp, level: Level, rng: Random
    ) -> PairImage:
        behind = rng.randint(30, 225), rng.randint(30, 225), rng.randint(30, 225)
        pixels_HW3 = warp.picture(page.image, behind)
        photo = degrade_picture(
            pixels_HW3, level.degradation, np.random.default_rng(rng.getrandbits(64))
        )
        stream = BytesIO()
        photo.save(stream, "JPEG", quality=self.config.jpeg_quality)
        points_K2 = warp.forward(np.array([mark.point for mark in marks]).reshape(-1, 2))
        return PairImage(image=stream.getvalue(), size_hw=warp.image_hw, points_K2=points_K2)


def _is_inside(box: Box, size_hw: tuple[int, int]) -> bool:
    """Whether all of a box is on the picture, so that what it holds can be read."""
    return min(box) >= 0 and box[2] <= size_hw[1] and box[3] <= size_hw[0]


def _clip_box(box: Box, size_hw: tuple[int, int]) -> Box:
    height, width = size_hw
    return max(box[0], 0.0), max(box[1], 0.0), min(box[2], width), min(box[3], height)
