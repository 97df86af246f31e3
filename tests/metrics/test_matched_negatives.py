import itertools
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diglot.metrics.auc import area_under_curve
from diglot.metrics.matched_negatives import Matched, PresenceQuestion, match_negatives

SCENES = st.lists(
    st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from(["photo", "drawing"]), max_size=4),
    max_size=12,
)


def asked(scenes):
    return [
        PresenceQuestion(scene, name, kind, present=True)
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
        assert area_under_curve(scores, [a.present for a in result.asked]) == 0.5


def test_images_are_balanced_too_and_nothing_is_left_out_with_names_enough():
    rng = np.random.default_rng(0)
    names = [f"n{i}" for i in range(20)]
    scenes = [dict.fromkeys(rng.choice(names, 4, replace=False), "photo") for _ in range(40)]
    result = matched(scenes)
    assert result.left_out == 0
    assert Counter((a.scene, a.kind) for a in result.asked if a.present) == Counter(
        (a.scene, a.kind) for a in result.asked if not a.present
    )


@pytest.mark.parametrize("seed", range(5))
def test_a_score_of_the_image_alone_gets_half_of_few_names(seed):
    """6 names in 14 images: one who knows how often each image is answered yes gains nothing."""
    rng = np.random.default_rng(seed)
    names = [f"n{i}" for i in range(6)]
    counts = rng.integers(1, 6, 14)
    scenes = [dict.fromkeys(rng.choice(names, n, replace=False), "photo") for n in counts]
    result = matched(scenes, seed)
    assert result.asked
    assert result.left_out
    for key in ("scene", "name"):
        yes, no = (
            Counter(getattr(a, key) for a in result.asked if a.present is present)
            for present in (True, False)
        )
        assert yes == no
        best = [yes[getattr(a, key)] for a in result.asked]
        assert area_under_curve(best, [a.present for a in result.asked]) == 0.5


@settings(max_examples=30)
@given(SCENES.filter(lambda scenes: sum(map(len, scenes)) <= 7))
def test_as_many_are_asked_as_can_be_balanced(scenes):
    """No larger part of the present names has counterparts: every subset is tried."""
    present = [replace(ask, kind="photo") for ask in asked(scenes)]
    scenes = [dict.fromkeys(names, "photo") for names in scenes]
    kept = sum(a.present for a in matched(scenes).asked)
    missing = {(s, n) for s, names in enumerate(scenes) for n in set("abcdefgh") - set(names)}
    larger = itertools.combinations(present, kept + 1)
    assert not any(has_counterparts(part, missing) for part in larger)


def has_counterparts(part, missing):
    """Can every image ask for as many missing names, and every name be asked as often?"""
    slots = [ask.scene for ask in part]
    return any(
        len(set(pairs := list(zip(slots, names, strict=True)))) == len(pairs)
        and missing.issuperset(pairs)
        for names in itertools.permutations([ask.name for ask in part])
    )


def test_a_name_that_every_image_shows_cannot_be_asked():
    assert matched([{"a": "photo"}] * 3) == Matched(asked=(), left_out=3)


def test_same_seed_same_questions():
    scenes = [{"a": "photo", "b": "photo"}, {"c": "photo"}, {"d": "photo", "a": "photo"}]
    assert matched(scenes, 1) == matched(scenes, 1)
