import numpy as np
import pytest
from PIL import Image
from tests.synth.scenes.shapes import pools

from diglot.core import masks
from diglot.core.errors import ConfigError, DataError
from diglot.data.images import decode_image
from diglot.synth.scenes import words
from diglot.synth.scenes.backgrounds import photos_of_side
from diglot.synth.scenes.compose import SceneMaker, scene_index
from diglot.synth.scenes.config import ScenesConfig

SMALL = {"image_px": 96, "object_px": (20, 44)}
CROWDED = ScenesConfig(
    **SMALL,
    objects=(2, 5),
    max_overlap=0.6,
    repeat_probability=0.5,
    size_probability=0.3,
    colour_probability=0.3,
)


@pytest.fixture(scope="module")
def scenes():
    maker = SceneMaker(pools(), CROWDED, seed=5)
    return [maker.scene(index) for index in range(40)]


def test_spans_and_labels(scenes):
    for scene in scenes:
        for region in scene.regions:
            start, end = region.span
            assert scene.caption[start:end] == region.phrase
            assert region.phrase.endswith(region.label)
            assert not region.phrase.startswith(("a ", "an ", "the "))


def test_boxes_are_tight_around_masks_that_share_no_pixel(scenes):
    overlapping = 0
    for scene in scenes:
        owners = np.zeros(scene.size_hw, int)
        for region in scene.regions:
            mask = masks.decode_mask(region.mask)
            owners += mask
            ys, xs = np.nonzero(mask)
            assert region.box == (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)
        assert owners.max() == 1
        overlapping += len(scene.regions)
    assert overlapping > 80


def test_every_object_stays_half_visible(scenes):
    for scene in scenes:
        for region in scene.regions:
            if region.source.startswith("photos/"):
                side = max(region.box[2] - region.box[0], region.box[3] - region.box[1])
                assert masks.mask_area(region.mask) >= 0.4 * side**2 * 0.85


def test_places_in_the_caption_are_where_the_boxes_are(scenes):
    matched = 0
    for scene in scenes:
        for region in scene.regions:
            x0, y0, x1, y1 = region.box
            place = words.name_place(((x0 + x1) / 2, (y0 + y1) / 2), 96)
            after = scene.caption[region.span[1] :]
            for where in (f" {place}", f" is {place}"):
                matched += after.startswith(where)
    assert matched > 40


def test_pixels_are_the_objects():
    config = ScenesConfig(**SMALL, objects=(1, 1), colour_probability=1.0, jpeg_quality=100)
    maker = SceneMaker(pools(0.0), config)
    for index in range(8):
        scene = maker.scene(index)
        (region,) = scene.regions
        pixels = np.asarray(decode_image(scene.image)).astype(float)
        colour = pixels[masks.decode_mask(region.mask)].mean(axis=0)
        assert colour.argmax() == {"red": 0, "orange": 0, "yellow": 0, "pink": 0}.get(
            region.phrase.split()[0], 1 if "green" in region.phrase else 2
        )


def test_a_scene_depends_on_seed_split_and_index_alone():
    first, second = SceneMaker(pools(), CROWDED, seed=5), SceneMaker(pools(), CROWDED, seed=5)
    ahead = [first.scene(index) for index in range(6)]
    assert [second.scene(index) for index in (5, 0, 3)] == [ahead[5], ahead[0], ahead[3]]
    others = [
        SceneMaker(pools(), CROWDED, seed=6).scene(0),
        SceneMaker(pools(), CROWDED, seed=5, split="test").scene(0),
    ]
    images = {scene.image for scene in [*ahead, *others]}
    assert len(images) == 8


def test_ids_name_the_scene():
    maker = SceneMaker(pools(), CROWDED, seed=5, split="test")
    assert maker.scene(12).id == "scene-test-5-000012"
    assert scene_index(maker.scene_id(1234567)) == 1234567
    assert maker.scene(0).lineage[0].step == "scenes"
    assert "seed 5" in maker.scene(0).lineage[0].revision


def test_sources_of_train_and_test_share_no_photograph():
    def sources(split):
        maker = SceneMaker(pools(1.0), ScenesConfig(**SMALL, objects=(2, 2)), split=split)
        return {r.source for i in range(60) for r in maker.scene(i).regions}

    train, test = sources("train"), sources("test")
    assert not train & test
    assert len(train) > 20
    assert all(source.startswith("photos/test/") for source in test)


def test_a_kind_apart_by_position_is_named_at_two_positions():
    config = ScenesConfig(
        **SMALL, repeat_probability=1.0, repeat_by=("place",), styles=("list",), objects=(2, 3)
    )
    maker = SceneMaker(pools(), config)
    for index in range(25):
        scene = maker.scene(index)
        labels = [region.label for region in scene.regions]
        (kind,) = {label for label in labels if labels.count(label) == 2}
        places = {
            words.name_place(((r.box[0] + r.box[2]) / 2, (r.box[1] + r.box[3]) / 2), 96)
            for r in scene.regions
            if r.label == kind
        }
        assert len(places) == 2
        assert f"nother {kind}" in scene.caption


def test_photos_make_the_background(tmp_path):
    path = tmp_path / "green.png"
    Image.new("RGB", (300, 200), (0, 250, 0)).save(path)
    config = ScenesConfig(**SMALL, objects=(1, 1), texture_share=0.0)
    scene = SceneMaker(pools(), config, photos=[path]).scene(0)
    pixels = np.asarray(decode_image(scene.image)).astype(int)
    behind = pixels[~masks.decode_mask(scene.regions[0].mask)]
    assert np.median(np.abs(behind - [0, 250, 0])) < 6


def test_backgrounds_are_held_out(tmp_path):
    photos = [tmp_path / f"{i}.png" for i in range(12)]
    train, test = photos_of_side(photos, "train"), photos_of_side(photos, "test")
    assert sorted(train + test) == sorted(photos)
    assert len(test) == 2
    assert photos_of_side(photos[:3], "test") == photos_of_side(photos[:3], "train") == photos[:3]


def test_a_scene_without_room_is_named():
    config = ScenesConfig(image_px=64, object_px=(60, 64), objects=(3, 3), max_overlap=0.0)
    with pytest.raises(DataError, match="scene-train-0-000007: no room"):
        SceneMaker(pools(), config).scene(7)


def test_a_broken_background_is_named(tmp_path):
    path = tmp_path / "bad.png"
    path.write_bytes(b"bad")
    config = ScenesConfig(**SMALL, texture_share=0.0)
    with pytest.raises(DataError, match=r"bad\.png: not a picture"):
        SceneMaker(pools(), config, photos=[path]).scene(0)


def test_unknown_splits_are_named():
    with pytest.raises(ConfigError, match="train, test, test_names, test_combinations"):
        SceneMaker(pools(), CROWDED, split="validation")


def test_info_follows_what_the_scenes_follow():
    import json

    base = SceneMaker(pools(), CROWDED, seed=1).info
    assert json.loads(json.dumps(base))["seed"] == 1
    assert base == SceneMaker(pools(), CROWDED, seed=1).info
    assert base != SceneMaker(pools(0.4), CROWDED, seed=1).info
    assert base != SceneMaker(pools(), ScenesConfig(), seed=1).info
