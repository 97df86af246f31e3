from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from diglot.metrics.auc import auc
from diglot.metrics.matched_negatives import Asked, Matched, match_negatives

SCENES = st.lists(
    st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from(["photo", "drawing"]), max_size=4),
    max_size=12,
)


def asked(scenes):
    return [
        Asked(scene, name, kind, present=True)
        for scene, names in enumerate(scenes)
        for name, kind in names.items()
    ]


def matched(scenes, seed=0):
    return match_negatives(asked(scenes), np.random.default_rng(seed))


@settings(max_examples=30)
@given(SCENES, st.integers(0, 5))
def test_absent_names_are_absent_asked_once_and_balanced_by_name_and_kind(scenes, seed):
    result = matched(scenes, seed)
    yes = [a for a in result.asked if a.present]
    no = [a for a in result.asked if not a.present]
    assert set(yes) <= set(asked(scenes))
    assert len(yes) + result.left_out == len(asked(scenes))
    assert all(a.name not in scenes[a.scene] for a in no)
    assert len({(a.scene, a.name) for a in no}) == len(no)
    assert Counter((a.name, a.kind) for a in yes) == Counter((a.name, a.kind) for a in no)


@settings(max_examples=30)
@given(SCENES)
def test_a_score_of_the_name_alone_gets_half(scenes):
    result = matched(scenes)
    if result.asked:
        scores = [ord(a.name) % 3 for a in result.asked]
        assert auc(scores, [a.present for a in result.asked]) == 0.5


def test_images_are_balanced_too_and_nothing_is_left_out_with_names_enough():
    rng = np.random.default_rng(0)
    names = [f"n{i}" for i in range(20)]
    scenes = [dict.fromkeys(rng.choice(names, 4, replace=False), "photo") for _ in range(40)]
    result = matched(scenes)
    assert result.left_out == 0
    assert Counter((a.scene, a.kind) for a in result.asked if a.present) == Counter(
        (a.scene, a.kind) for a in result.asked if not a.present
    )


def test_a_name_that_every_image_shows_cannot_be_asked():
    assert matched([{"a": "photo"}] * 3) == Matched(asked=(), left_out=3)


def test_same_seed_same_questions():
    scenes = [{"a": "photo", "b": "photo"}, {"c": "photo"}, {"d": "photo", "a": "photo"}]
    assert matched(scenes, 1) == matched(scenes, 1)
