from collections import Counter

import numpy as np
import pytest
from tests.synth.scenes.shapes import PHOTO_NAMES, SHAPE_NAMES, Shapes, photos, pools

from diglot.core.errors import ConfigError, DataError
from diglot.synth.scenes.config import ScenesConfig
from diglot.synth.scenes.plan import Planner


def plans(config, split="train", count=300, use=None):
    planner = Planner(use or pools(), config, split)
    rng = np.random.default_rng(0)
    return [planner.draw(rng) for _ in range(count)]


def names(plan):
    return [thing.name for thing in plan.objects]


def test_four_objects_of_four_kinds():
    for plan in plans(ScenesConfig()):
        assert len(plan.objects) == len(set(names(plan))) == 4
        assert plan.apart_by is None
        assert all(96 <= thing.size_px <= 160 for thing in plan.objects)


def test_the_share_is_of_objects():
    for share in (0.0, 0.2, 0.5):
        drawn = plans(ScenesConfig(objects=(2, 2)), use=pools(share), count=600)
        found = Counter(name in PHOTO_NAMES for plan in drawn for name in names(plan))
        assert found[True] / 1200 == pytest.approx(share, abs=0.05)
    even = plans(ScenesConfig(objects=(1, 1)), use=pools(None), count=1200)
    found = Counter(name for plan in even for name in names(plan))
    assert set(found) == {*PHOTO_NAMES, *SHAPE_NAMES}
    assert min(found.values()) > 60


def test_counts_span_their_range():
    drawn = plans(ScenesConfig(objects=(1, 3)))
    assert {len(plan.objects) for plan in drawn} == {1, 2, 3}


def test_pictures_come_from_the_side_of_the_split():
    def keys(split):
        drawn = plans(ScenesConfig(held_out_names=("dog",)), split)
        return {t.key for p in drawn for t in p.objects if t.pool.name == "photos"}

    assert all(key.startswith("train/") for key in keys("train"))
    assert all(key.startswith("test/") for key in keys("test") | keys("test_names"))


def test_names_are_held_out():
    config = ScenesConfig(held_out_names=("dog", "key"))
    for split in ("train", "test"):
        assert not any({"dog", "key"} & set(names(plan)) for plan in plans(config, split))
    unseen = plans(config, "test_names")
    assert all({"dog", "key"} & set(names(plan)) for plan in unseen)
    assert {"dog", "key"} <= {name for plan in unseen for name in names(plan)}


def has_pair(config, plan):
    return any(config.holds_out(a, b) for a in names(plan) for b in names(plan))


def test_pairs_are_held_out():
    config = ScenesConfig(held_out_pair_share=0.15, objects=(2, 4))
    for split in ("train", "test"):
        assert not any(has_pair(config, plan) for plan in plans(config, split))
    assert all(has_pair(config, plan) for plan in plans(config, "test_combinations"))


def test_hold_outs_leave_repeats_alone():
    config = ScenesConfig(
        held_out_pair_share=0.15, held_out_names=("dog",), repeat_probability=1.0, objects=(3, 4)
    )
    assert all("dog" in names(plan) for plan in plans(config, "test_names"))
    assert all(has_pair(config, plan) for plan in plans(config, "test_combinations"))
    assert not any(has_pair(config, plan) for plan in plans(config))


def test_repeated_kinds_differ_in_one_way():
    config = ScenesConfig(repeat_probability=1.0)
    drawn = plans(config)
    assert {plan.apart_by for plan in drawn} == {"size", "place", "colour"}
    for plan in drawn:
        first, second = plan.objects[:2]
        assert first.name == second.name
        assert len(set(names(plan))) == 3
        sizes, colours = (
            {first.size_word, second.size_word},
            {first.colour, second.colour},
        )
        assert (sizes == {"small", "large"}) == (plan.apart_by == "size")
        assert (len(colours) == 2) == (plan.apart_by == "colour")
        if plan.apart_by == "place":
            assert first.phrase == second.phrase == first.name
        if not first.pool.drawn:
            assert first.key != second.key
            assert first.colour is None


def test_only_drawings_are_coloured():
    config = ScenesConfig(colour_probability=1.0, size_probability=1.0)
    for plan in plans(config):
        for thing in plan.objects:
            assert (thing.colour is not None) == thing.pool.drawn
            words = [thing.size_word, *([thing.colour] if thing.colour else []), thing.name]
            assert thing.phrase == " ".join(words)
            low, high = config.size_range(thing.size_word)
            assert low <= thing.size_px <= high


def test_colour_alone_needs_a_drawing():
    config = ScenesConfig(repeat_probability=1.0, repeat_by=("colour",))
    assert all(plan.objects[0].pool.drawn for plan in plans(config, use=[Shapes()]))
    with pytest.raises(DataError, match="only drawings"):
        plans(config, use=[photos()])


@pytest.mark.parametrize(
    ("config", "split", "message"),
    [
        (ScenesConfig(held_out_names=("dragon",)), "train", "no pictures of that kind.*dragon"),
        (ScenesConfig(), "test_names", "needs held_out_names"),
        (ScenesConfig(), "test_combinations", "needs held_out_pair_share"),
        (ScenesConfig(objects=(2, 13)), "train", "too few kinds.*at least 13; got 12"),
    ],
)
def test_what_cannot_work_is_refused_at_once(config, split, message):
    with pytest.raises(ConfigError, match=message):
        Planner(pools(), config, split)


def test_pools_need_names_and_shares():
    with pytest.raises(ConfigError, match="share of pool"):
        Planner([photos(1.5), Shapes()], ScenesConfig(), "train")
    with pytest.raises(ConfigError, match="names of their own"):
        Planner([Shapes(), Shapes()], ScenesConfig(), "train")
    with pytest.raises(ConfigError):
        Planner([], ScenesConfig(), "train")
