"""Scenes of words and charts: what regions say is drawn there, captions are true, models train."""

import re
from functools import cache
from itertools import pairwise
from pathlib import Path
from random import Random

import numpy as np
import pytest
from tests.cli_runner import run_diglot

from diglot.core import masks
from diglot.core.errors import ConfigError
from diglot.core.types import Sample
from diglot.data.images import decode_image
from diglot.synth.text_pairs.fonts import Family, find_families
from diglot.synth.text_pairs.words import Draw, is_held_out, list_words
from diglot.synth.text_scenes.captions import write_caption
from diglot.synth.text_scenes.compose import TextSceneMaker
from diglot.synth.text_scenes.config import Kind, TextScenesConfig
from diglot.synth.text_scenes.page import Page, draw_chart_page, draw_words_page

KINDS: tuple[Kind, ...] = ("words", "charts")


@cache
def families() -> tuple[Family, ...]:
    return find_families()


def pages(kind: Kind, count: int) -> list[Page]:
    rng, found = Random(7), list[Page]()
    while len(found) < count:
        if kind == "words":
            page = draw_words_page(families(), (4, 8), rng, Draw(rng))
        else:
            page = draw_chart_page(families(), rng, Draw(rng))
        found += [page] if page else []
    return found


def scenes(kind: Kind, count: int, **settings) -> list[Sample]:
    maker = TextSceneMaker(families(), TextScenesConfig(**settings), kind)
    return [maker.scene(index) for index in range(count)]


@pytest.mark.parametrize("kind", KINDS)
def test_spans_spell_phrases_and_masks_fill_their_boxes(kind: Kind) -> None:
    for sample in scenes(kind, 8):
        assert sample.regions
        spans = sorted(region.span for region in sample.regions)
        assert all(a[1] <= b[0] for a, b in pairwise(spans))
        for region in sample.regions:
            assert sample.caption[slice(*region.span)] == region.phrase
            mask_HW = masks.decode_mask(region.mask)
            assert mask_HW.shape == sample.size_hw
            rows, columns = np.where(mask_HW)
            tight = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            assert region.box == tight


def test_all_ink_of_a_text_is_in_its_box_and_none_beside_it() -> None:
    for page in pages("words", 8):
        pixels = np.asarray(page.image.convert("L"), np.float64)
        for thing in page.things:
            rows, columns = np.where(thing.mask_HW)
            y0, y1, x0, x1 = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
            inside = pixels[y0:y1, x0:x1]
            ground = np.median(pixels[y0 : y1 + 1, x0 - 2 : x0])
            contrast = abs(inside - ground)
            assert contrast.max() > 60, thing.phrase  # there is ink
            for edge in (contrast[:2], contrast[-2:], contrast[:, :2], contrast[:, -2:]):
                assert edge.max() > 20, thing.phrase  # which reaches all four edges
            beside = abs(pixels[y0:y1, x0 - 2 : x0] - ground)
            assert beside.max() < 40, thing.phrase


def test_a_charts_part_is_the_pixels_of_one_colour() -> None:
    kinds = set()
    for page in pages("charts", 12):
        pixels = np.asarray(page.image)
        for part in (thing for thing in page.things if not thing.is_text):
            inner = pixels[part.mask_HW]
            counts = np.unique(inner.reshape(-1, 3), axis=0, return_counts=True)[1]
            assert counts.max() / counts.sum() > 0.5, part.phrase
            kinds.add(part.phrase.split()[0])
    assert kinds == {"bar", "point", "slice"}


def test_captions_compare_values_as_they_are() -> None:
    found = 0
    for page in pages("charts", 12):
        values = {t.phrase: t.value for t in page.things if t.value is not None}
        parts = [i for i, thing in enumerate(page.things) if thing.phrase in values]
        caption, spans = write_caption(page, parts, ["at the top"] * len(page.things), Random(0))
        assert set(spans) == set(parts)
        compared = re.findall(r"The (\w+ of .+?) is (larger|smaller) than the (.+?)\.", caption)
        for one, how, other in compared:
            assert (values[one] > values[other]) == (how == "larger")
            found += 1
    assert found > 10


@pytest.mark.parametrize("kind", KINDS)
def test_a_scene_depends_on_its_index_and_a_small_one_still_shows_its_regions(kind: Kind) -> None:
    first, again = scenes(kind, 3, image_px=160), scenes(kind, 3, image_px=160)
    assert first == again
    other = TextSceneMaker(families(), TextScenesConfig(image_px=160), kind, split="test")
    assert other.scene(0).image != first[0].image
    for sample in first:
        assert decode_image(sample.image).size == (160, 160)
        assert all(masks.mask_area(region.mask) > 0 for region in sample.regions)


def test_a_page_that_fits_is_not_resampled() -> None:
    (sample,) = scenes("words", 1, image_px=2000, jpeg_quality=100)
    picture = decode_image(sample.image)
    region = sample.regions[0]
    crop = np.asarray(picture.crop(tuple(map(int, region.box))).convert("L"), np.float64)
    assert np.ptp(crop) > 60


def test_a_wrong_split_or_option_is_refused(tmp_path: Path, capsys) -> None:
    with pytest.raises(ConfigError, match="no such split of words"):
        TextSceneMaker(families(), TextScenesConfig(), "words", split="test_names")
    with pytest.raises(ConfigError, match="texts is out of range"):
        TextScenesConfig(texts=(5, 3))
    assert run_diglot("scenes", tmp_path / "o", "--kind", "words", "--instruct") == 2
    assert "--instruct is not read beside --kind words or charts" in capsys.readouterr().err


@pytest.mark.parametrize("kind", KINDS)
def test_held_out_words_stand_in_one_split_alone(kind: Kind) -> None:
    config = TextScenesConfig(held_out_words=0.2, mentions=(99, 99))
    held = {word for word in list_words() if is_held_out(word, 0.2)}
    assert 0.15 < len(held) / len(list_words()) < 0.25
    for split in ("train", "test", "test_words"):
        maker = TextSceneMaker(families(), config, kind, split=split)
        texts = {
            word
            for index in range(4)
            for region in maker.scene(index).regions
            if region.source.endswith("/text")
            for word in region.phrase.split()
            if word in list_words()
        }
        assert texts
        assert texts <= held if split == "test_words" else not texts & held
    with pytest.raises(ConfigError, match="held_out_words"):
        TextSceneMaker(families(), TextScenesConfig(), kind, split="test_words")


def test_scenes_of_the_defaults_are_described_as_before() -> None:
    config = TextSceneMaker(families(), TextScenesConfig(), "words").info["config"]
    assert not {"values", "held_out_words"} & set(config)


def test_stated_values_are_the_charts() -> None:
    found = 0
    for sample in scenes("charts", 12, values=True, mentions=(99, 99)):
        stated = re.findall(
            r"The (bar|point) of (.+?) has the value ([\d.]+?)\.(?= |$)", sample.caption
        )
        if not re.match(r"A (bar|line) chart", sample.caption):
            assert not stated
            continue
        found += len(stated)
        assert len(stated) == sum(r.source == "charts/part" for r in sample.regions)
        bars = [
            (float(value), region)
            for kind, name, value in stated
            for region in sample.regions
            if region.phrase == f"{kind} of {name}" and kind == "bar"
        ]
        sizes = [  # bars begin at the axis: the longest has the largest value
            (value, max(r.box[2] - r.box[0], r.box[3] - r.box[1])) for value, r in bars
        ]
        top = max(sizes, default=None)
        if top:
            assert top[1] >= max(size for _, size in sizes) - 2
    assert found
