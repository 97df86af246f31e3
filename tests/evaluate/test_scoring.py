"""What written answers mean, and whether they are right."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diglot.evaluate.scoring import (
    box_iou,
    count_right,
    first_mention,
    mention_scores,
    names_right,
    read_box,
    read_count,
)


@pytest.mark.parametrize(
    ("text", "box"),
    [
        ("[0.12, 0.30, 0.55, 0.71]", (0.12, 0.3, 0.55, 0.71)),
        ("The box is [ 0,0 ,1, 0.5 ].", (0, 0, 1, 0.5)),
        ("(0, 0, 1, 0.5)", None),
        ("[0, 0, 1, .5]", None),
        ("[1, 2] and [0.1,0.2,0.3,0.4] or [0.5, 0.5, 0.6, 0.6]", (0.1, 0.2, 0.3, 0.4)),
        ("0.1 0.2 0.3 0.4", None),
        ("", None),
    ],
)
def test_the_first_box_of_four_numbers_is_read(text, box):
    assert read_box(text) == box


def test_iou_against_a_grid_of_points():
    rng = np.random.default_rng(0)
    axis = (np.arange(200) + 0.5) / 200
    x, y = np.meshgrid(axis, axis)
    for _ in range(20):
        corners = rng.random((2, 2, 2))
        boxes = [(*c.min(axis=0), *c.max(axis=0)) for c in corners]
        inside = [(x > b[0]) & (x < b[2]) & (y > b[1]) & (y < b[3]) for b in boxes]
        union = (inside[0] | inside[1]).sum()
        want = (inside[0] & inside[1]).sum() / max(union, 1)
        assert box_iou(*boxes) == pytest.approx(want, abs=0.03)


@given(st.lists(st.floats(-2, 2), min_size=8, max_size=8))
def test_iou_is_a_share_and_symmetric(values):
    first, second = values[:4], values[4:]
    assert 0 <= box_iou(first, second) <= 1
    assert box_iou(first, second) == box_iou(second, first)


def test_a_turned_or_empty_box_overlaps_nothing():
    assert box_iou((0.9, 0.9, 0.1, 0.1), (0, 0, 1, 1)) == 0
    assert box_iou((0, 0, 0, 0), (0, 0, 0, 0)) == 0


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("Yes, there is no doubt", "Yes"),
        ("no.", "No"),
        ("Nothing here", None),
        ("It is not yes but no", "Yes"),
        ("", None),
    ],
)
def test_the_choice_named_first_counts_as_a_whole_word(text, choice):
    assert first_mention(text, ("Yes", "No")) == choice


def test_of_choices_that_begin_together_the_longest_counts():
    assert first_mention("A red car.", ("red", "red car", "car")) == "red car"
    assert names_right("A red car.", ("red", "red car"), "red car") == 1


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("There are 3 dogs", 3),
        ("three", 3),
        ("Two of the 4", 2),
        ("4, not two", 4),
        ("none", None),
        ("12", 12),
        ("1.5", None),
    ],
)
def test_the_first_number_is_read(text, count):
    assert read_count(text) == count
    if count is not None:
        assert count_right(text, str(count)) == 1
        assert count_right(text, str(count + 1)) == 0


def test_mentions_of_a_description():
    text = "Two dogs and a red panda sit under a balloon."
    scores = mention_scores(text, ["dog", "red panda", "car"], ["panda", "balloon", "cat"])
    # named: dog, red panda; of what is absent balloon (panda is inside "red panda")
    assert scores["recall"] == pytest.approx(2 / 3)
    assert scores["precision"] == pytest.approx(2 / 3)
    assert scores["f1"] == pytest.approx(2 / 3)
    assert mention_scores("", ["dog"], []) == {"recall": 0, "precision": 0, "f1": 0}
