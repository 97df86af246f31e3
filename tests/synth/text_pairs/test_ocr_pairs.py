"""Pairs of text: the same for the same seed, exact in the end, and scored as they should be."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from tests.cli_runner import run_diglot
from tests.select.pair_samples import batch
from tests.synth.text_pairs.ocr_families import FAMILIES

from diglot.core.errors import ConfigError
from diglot.data.pair_folder import read_pairs
from diglot.data.rejected import Rejected
from diglot.measure.correspondence.maps import cell_coordinates
from diglot.measure.correspondence.matching import MatchConfig, match_letterbox
from diglot.measure.correspondence.pck import c_score, match_points
from diglot.synth.text_pairs.canvas import Canvas, square_around
from diglot.synth.text_pairs.compose import OcrPairMaker
from diglot.synth.text_pairs.config import WHAT, OcrPairsConfig
from diglot.synth.text_pairs.drawn import DrawnPair
from diglot.synth.text_pairs.latin import bundled_folder
from diglot.synth.text_pairs.levels import LEVELS, list_categories
from diglot.synth.text_pairs.preview import _spread_pairs
from diglot.synth.text_pairs.write import PREVIEW, write_ocr_pairs

ALL = OcrPairsConfig(what=WHAT)


def maker(config=ALL, seed=0):
    return OcrPairMaker(FAMILIES, config, seed=seed)


@pytest.fixture(scope="module")
def made():
    """A pair of every category and level."""
    return [maker().pair(index) for index in range(len(list_categories(ALL)) * len(LEVELS))]


def test_a_pair_depends_on_seed_and_index_alone(made):
    for index in (17, 3, 31):
        again, first = maker().pair(index), made[index]
        assert again.source.image == first.source.image
        assert again.target.image == first.target.image
        np.testing.assert_array_equal(again.target.points_K2, first.target.points_K2)
        assert maker(seed=1).pair(index).source.image != first.source.image


def test_every_category_comes_at_every_level(made):
    assert len({(pair.category, pair.groups) for pair in made}) == len(made)
    assert {pair.category for pair in made} == set(list_categories(ALL))


def test_visible_points_lie_on_both_pictures_and_no_two_together(made):
    for pair in made:
        assert pair.visible_K.sum() >= ALL.min_keypoints
        np.testing.assert_array_equal(pair.scored_K, pair.visible_K)
        for side in (pair.source, pair.target):
            height, width = side.size_hw
            assert Image.open(io.BytesIO(side.image)).size == (width, height)
            points_K2 = side.points_K2[pair.visible_K]
            assert ((points_K2 > 1) & (points_K2 < np.array([width, height]) - 1)).all()
            gaps_KK = np.linalg.norm(points_K2[:, None] - points_K2[None], axis=-1)
            assert (gaps_KK + 99 * np.eye(len(gaps_KK)) > 2).all(), (pair.id, pair.category)


def test_the_box_is_the_text_the_chart_or_the_word(made):
    for pair in made:
        height, width = pair.target.size_hw
        x0, y0, x1, y1 = pair.box
        assert 0 <= x0 < x1 <= width
        assert 0 <= y0 < y1 <= height
        points_K2 = pair.target.points_K2[pair.visible_K]
        assert ((points_K2 > [x0, y0]) & (points_K2 < [x1, y1])).all()
        share = max(x1 - x0, y1 - y0) / max(height, width)
        if pair.category.startswith("characters"):
            assert share < 0.6
        else:
            assert share > 0.5


def test_only_hard_pairs_hide_points(made):
    hidden = {level.name: 0 for level in LEVELS}
    for pair in made:
        hidden[pair.groups[0]] += int((~pair.visible_K).sum())
    assert hidden["easy"] == hidden["medium"] == 0 < hidden["hard"]


class DotMaker(OcrPairMaker):
    """Dots instead of texts, so that what a picture shows can be measured."""

    def _draw_pages(self, category, level, rng):
        pages = []
        for width, height in ((300, 220), (260, 280)):
            canvas = Canvas(width, height, (40, 40, 40))
            for x in range(40, width, 60):
                at = (x, 40 + x * 0.5)
                canvas.draw.rectangle((at[0] - 3, at[1] - 3, at[0] + 2, at[1] + 2), fill=(255,) * 3)
                canvas.mark(str(x), at, square_around(at, 3))
            pages.append(canvas)
        marks = [page.marks[:4] for page in pages]
        return DrawnPair(pages=tuple(pages), marks=tuple(marks), boxes=[m.box for m in marks[1]])


@pytest.mark.parametrize("level", range(len(LEVELS)))
def test_points_of_written_pictures_lie_on_their_pixels(level):
    config = OcrPairsConfig(what=("words",))
    for repeat in range(4):
        index = level * len(list_categories(config)) + repeat
        pair = DotMaker(FAMILIES, config).pair(index)
        assert pair.groups == (LEVELS[level].name,)
        for side in (pair.source, pair.target):
            grey_HW = np.asarray(Image.open(io.BytesIO(side.image)).convert("L"), float)
            for point in side.points_K2[pair.scored_K]:
                x0, y0 = (point - 8).astype(int)
                ink = (grey_HW[y0 : y0 + 17, x0 : x0 + 17] - 90).clip(0)
                y, x = np.mgrid[: ink.shape[0], : ink.shape[1]] + 0.5
                found = [x0 + (x * ink).sum() / ink.sum(), y0 + (y * ink).sum() / ink.sum()]
                assert np.linalg.norm(found - point) < 0.5


def oracle(pair, image_px=512, patch_px=4):
    """A batch of one pair whose cells know which keypoint lies in them."""
    cells, count = image_px // patch_px, len(pair.visible_K)
    maps = [np.zeros((1, cells, cells, count + 1)) for _ in "ab"]
    blank = batch([pair], *maps, image_px=image_px, patch_px=patch_px)
    views = blank.source_views[0], blank.target_views[0]
    for map_1hwE, view, side in zip(maps, views, (pair.source, pair.target), strict=True):
        map_1hwE[..., count] = 0.01
        at_K2 = np.rint(cell_coordinates(side.points_K2, view, side.size_hw)).astype(int)
        for k in np.nonzero(pair.scored_K)[0]:
            map_1hwE[0, at_K2[k, 1], at_K2[k, 0], k] = 1
    return batch([pair], *maps, image_px=image_px, patch_px=patch_px)


def test_an_oracle_finds_all(made):
    chosen = [pair for pair in made if not pair.category.startswith("characters")]
    config = MatchConfig(read="nearest")
    found = match_points(
        map(oracle, chosen), lambda b, alphas: match_letterbox(b, config, alphas), (0.1,)
    )
    score = c_score(found)
    assert score.overall[0.1].pooled.value == 1
    assert {name.split("/")[0] for name in score.categories} == {"words", "charts"}
    assert set(score.groups) == {level.name for level in LEVELS}


def test_random_features_find_about_chance(made):
    generator = torch.Generator().manual_seed(0)
    batches = [
        batch(
            [pair],
            *torch.randn(2, 1, 16, 16, 48, generator=generator),
            image_px=256,
            patch_px=16,
        )
        for pair in made * 8
        if not pair.category.startswith("characters")
    ]
    match = MatchConfig()
    found = match_points(batches, lambda b, alphas: match_letterbox(b, match, alphas), (0.1,))
    score = c_score(found).overall[0.1]
    assert 0.01 < score.chance < 0.1
    assert score.pooled.value == pytest.approx(score.chance, abs=0.015)


def test_a_stopped_set_resumes_and_ends_the_same(tmp_path):
    class Stop(Exception):
        pass

    def stop(event):
        if event.done == 2:
            raise Stop

    config = OcrPairsConfig(what=("words",))
    with pytest.raises(Stop):
        write_ocr_pairs(maker(config), tmp_path / "a", 4, report=stop)
    with open(tmp_path / "a" / "pairs.jsonl", "a", encoding="ascii") as file:
        file.write('{"id": "ocr-0-0000')  # a line torn by a kill
    for name in "ab":
        write_ocr_pairs(maker(config), tmp_path / name, 4)
    lines = [(tmp_path / name / "pairs.jsonl").read_bytes() for name in "ab"]
    assert lines[0] == lines[1]
    pairs = read_pairs(tmp_path / "a", Rejected(tmp_path / "rejected.jsonl"))
    assert [pair.id for pair in pairs] == [f"ocr-0-{i:06d}" for i in range(4)]
    for pair in pairs:
        assert pair.source.image.read_bytes() == maker(config).pair(int(pair.id[-2:])).source.image
    assert Image.open(tmp_path / "a" / PREVIEW).width > 600
    with pytest.raises(ConfigError, match="other settings: seed"):
        write_ocr_pairs(maker(config, seed=1), tmp_path / "a", 4)


def test_the_command_makes_pairs(tmp_path, capsys):
    out = tmp_path / "pairs"
    fonts = ["--fonts", str(bundled_folder())]
    run_diglot("select", "ocr-pairs", out, "--count", "2", "--drawing.what", "[charts]", *fonts)
    assert str(out) in capsys.readouterr().out.replace("\n", "")
    pairs = read_pairs(out, Rejected(tmp_path / "rejected.jsonl"))
    assert [pair.category for pair in pairs] == ["charts/bar", "charts/line"]


def test_a_preview_of_few_pairs_shows_every_level_and_category(made):
    shown = _spread_pairs(made[:100], 12)
    assert {group for pair in shown for group in pair.groups} == {level.name for level in LEVELS}
    assert len({pair.category for pair in shown}) == 12
    assert _spread_pairs(made[:3], 12) == made[:3]


def test_a_folder_without_fonts_is_refused(tmp_path, capsys):
    (tmp_path / "none").mkdir()
    for folder in ("none", "nowhere"):
        out = str(tmp_path / "pairs")
        assert run_diglot("select", "ocr-pairs", out, "--fonts", tmp_path / folder) == 2
    complaints = " ".join(capsys.readouterr().err.split())
    assert "too few font families" in complaints
    assert "Install the Debian packages" in complaints
    assert "nowhere: no such folder" in complaints


@pytest.mark.parametrize(
    "wrong", [{"what": ("tables",)}, {"what": ()}, {"texts": (2, 9)}, {"min_keypoints": 0}]
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        OcrPairsConfig(**wrong)
