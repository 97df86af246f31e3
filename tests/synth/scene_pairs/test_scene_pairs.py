"""Pairs of composed scenes: points correspond exactly, seeds repeat, a killed run resumes."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from diglot.core.errors import ConfigError, DataError
from diglot.data.pair_folder import LINES, PairWriter, read_info, read_pairs
from diglot.data.rejected import Rejected
from diglot.synth.scene_pairs.compose import ScenePairMaker
from diglot.synth.scene_pairs.config import LEVELS, ScenePairsConfig
from diglot.synth.scene_pairs.warp import Placement, paste_picture
from diglot.synth.scene_pairs.write import write_pairs
from diglot.synth.scenes.pools import ArrayPool

KINDS = ("ant", "bee", "cow", "dog", "eel")
SMALL = ScenePairsConfig(
    image_px=160, object_px=(60, 110), other_px=(30, 50), keypoints=10, jpeg_quality=100
)


def gradient():
    """A picture whose red is the column and green the row, so that a colour gives its position."""
    y, x = np.mgrid[0:32, 0:32]
    return np.stack([20 + 6 * x, 20 + 6 * y, np.full_like(x, 128)], axis=-1).astype(np.uint8)


def pool():
    images = np.repeat(gradient()[None], len(KINDS), axis=0)
    labelled = images, np.arange(len(KINDS)), KINDS
    return ArrayPool("gradients", {"train": labelled, "test": labelled})


def maker(config=SMALL, seed=0):
    return ScenePairMaker([pool()], config, seed=seed)


def pixels(side):
    return np.asarray(Image.open(io.BytesIO(side.image)).convert("RGB"), np.float64)


def colours(side, visible_K):
    """The picture's colour at each seen point, mixed from the four pixels around it."""
    image, out = np.pad(pixels(side), ((1, 1), (1, 1), (0, 0)), mode="edge"), []
    for x, y in side.points_K2[visible_K] + 0.5:  # of the padded picture, from pixel centres
        column, row = int(x), int(y)
        a, b = x - column, y - row
        top = image[row, column] * (1 - a) + image[row, column + 1] * a
        out.append(
            top * (1 - b) + (image[row + 1, column] * (1 - a) + image[row + 1, column + 1] * a) * b
        )
    return np.array(out)


@pytest.fixture(scope="module")
def pairs():
    made = maker()
    return [made.pair(index) for index in range(24)]


def test_corresponding_points_show_the_same_place(pairs):
    """Red and green give where on the object a pixel is: 6 levels a 32nd of its side."""
    gaps = []
    for pair in pairs:
        gap = np.abs(colours(pair.source, pair.visible_K) - colours(pair.target, pair.visible_K))
        gaps.append(gap[:, :2])
    gaps = np.concatenate(gaps)
    # 1.5 levels are a quarter of one of the picture's own pixels; near soft edges the ground shows
    assert np.median(gaps) < 1.5
    assert np.quantile(gaps, 0.8) < 6


def affine(pair):
    """The 2 x 2 part of the map from source to target points, and its residual."""
    ones = np.ones((len(pair.source.points_K2), 1))
    source = np.hstack([pair.source.points_K2, ones])
    solved, *_ = np.linalg.lstsq(source, pair.target.points_K2, rcond=None)
    return solved[:2].T, np.abs(source @ solved - pair.target.points_K2).max()


def test_levels_do_what_their_names_promise(pairs):
    """Every fourth pair of a level; its map is a scale, a turn, a mirrored turn, exactly."""
    for index, pair in enumerate(pairs):
        level = index % 4
        assert pair.groups == (LEVELS[level],)
        matrix, residual = affine(pair)
        assert residual < 1e-9
        scale = np.sqrt(abs(np.linalg.det(matrix)))
        turned = np.degrees(np.arctan2(matrix[1, 1], -matrix[0, 1]) - np.pi / 2)
        assert 0.5 < scale < 2
        if level == 0:
            assert matrix == pytest.approx(np.diag(np.diag(matrix)), abs=1e-9)
            assert (np.diag(matrix) > 0).all()
        if level == 1:
            assert np.linalg.det(matrix) > 0
            assert abs(turned) <= 60
        if level == 2:
            assert np.linalg.det(matrix) < 0
        if level < 3:
            assert pair.visible_K.sum() >= 8
        assert pair.visible_K.sum() >= SMALL.min_keypoints


def test_turns_and_crowds_differ_between_pairs(pairs):
    turns = [affine(pair)[0][0, 1] for pair in pairs[1::4]]
    assert np.std(turns) > 0.1
    assert not all(pair.visible_K.all() for pair in pairs[3::4])


def test_boxes_hold_the_points_that_show(pairs):
    for pair in pairs:
        x0, y0, x1, y1 = pair.box
        shown_K2 = pair.target.points_K2[pair.visible_K]
        assert (shown_K2 >= [x0, y0]).all()
        assert (shown_K2 <= [x1, y1]).all()
        assert 0 <= x0 < x1 <= 160


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_pasted_picture_lies_where_its_points_are(mirrored):
    """A bright dot of the picture stands on the canvas where the placement maps it."""
    array = np.zeros((40, 60, 4), np.uint8)
    array[..., 3] = 255
    array[8:12, 14:18] = 255  # its centre: u 16/60, v 10/40
    placement = Placement(size_wh=(60, 40), center_xy=(52.3, 47.8), turn_deg=33, mirrored=mirrored)
    canvas = Image.new("RGB", (100, 100))
    alpha = paste_picture(canvas, Image.fromarray(array), placement)
    grey = np.asarray(canvas, np.float64)[..., 0]
    y, x = np.mgrid[0:100, 0:100] + 0.5
    centroid = (x * grey).sum() / grey.sum(), (y * grey).sum() / grey.sum()
    (expected,) = placement.to_canvas(np.array([[16 / 60, 10 / 40]]))
    assert centroid == pytest.approx(expected, abs=0.1)
    assert (alpha > 127).sum() == pytest.approx(60 * 40, rel=0.02)


def test_a_picture_beyond_the_canvas_leaves_it_alone():
    canvas = Image.new("RGB", (20, 20))
    picture = Image.new("RGBA", (8, 8), "white")
    assert not paste_picture(canvas, picture, Placement(size_wh=(8, 8), center_xy=(-30, 5))).any()


def pair_fields(pair):
    sides = [(side.image, side.points_K2.tolist()) for side in (pair.source, pair.target)]
    return pair.id, pair.category, pair.box, pair.visible_K.tolist(), sides


def test_a_seed_repeats_and_another_differs(pairs):
    again = maker().pair(7)
    assert pair_fields(again) == pair_fields(pairs[7])
    assert pair_fields(maker(seed=1).pair(7))[2:] != pair_fields(pairs[7])[2:]


def test_a_folder_reads_back_and_a_killed_run_resumes(pairs, tmp_path):
    folder = tmp_path / "pairs"
    write_pairs(maker(), folder, 3)
    with open(folder / LINES, "ab") as lines:
        lines.write(b'{"id": "torn')
    steps = []
    write_pairs(maker(), folder, 5, report=lambda event: steps.append((event.done, event.total)))
    assert steps == [(3, 5), (4, 5), (5, 5)]
    rejected = Rejected(tmp_path / "rejected.jsonl")
    for read, made in zip(read_pairs(folder, rejected), pairs[:5], strict=True):
        with_bytes = [
            (side.image.read_bytes(), side.points_K2.tolist())
            for side in (read.source, read.target)
        ]
        assert (
            read.id,
            read.category,
            read.box,
            read.visible_K.tolist(),
            with_bytes,
        ) == pair_fields(made)
        assert read.groups == made.groups
    assert len(rejected) == 0
    assert read_info(folder)["seed"] == 0


def test_another_seed_does_not_mix_into_a_folder(tmp_path):
    write_pairs(maker(), tmp_path / "pairs", 1)
    with pytest.raises(ConfigError, match="other settings: seed; expected seed = 0"):
        write_pairs(maker(seed=1), tmp_path / "pairs", 2)


def test_broken_lines_are_rejected(tmp_path):
    folder = tmp_path / "pairs"
    write_pairs(maker(), folder, 1)
    line = json.loads((folder / LINES).read_text())
    escaping = line | {"source": line["source"] | {"image": "../../secret.jpg"}}
    wrong = ["nonsense", json.dumps([1]), json.dumps({"id": "a"}), json.dumps(escaping)]
    (folder / LINES).write_text("\n".join([*wrong, json.dumps(line), ""]))
    rejected = Rejected(tmp_path / "rejected.jsonl")
    assert [pair.id for pair in read_pairs(folder, rejected)] == [line["id"]]
    assert len(rejected) == 4
    assert "path leaves its folder" in rejected.counts


def test_a_writer_takes_ids_that_name_files(pairs, tmp_path):
    with (
        PairWriter(tmp_path / "pairs", info={}) as writer,
        pytest.raises(DataError, match="id cannot name a file"),
    ):
        writer.add(replace(pairs[0], id="../a"))


def test_settings_that_cannot_work_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="object_px is out of range"):
        ScenePairsConfig(object_px=(600, 700))
    with pytest.raises(ConfigError, match="too few kinds"):
        maker(ScenePairsConfig(others=(8, 9)))
    with pytest.raises(ConfigError, match="count must be at least 1"):
        write_pairs(maker(), tmp_path, 0)
