import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diglot.synth.scenes.place import find_places, tight_box


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(1, 5),
    st.sampled_from([0.0, 0.3, 1.0]),
    st.sampled_from([0.2, 0.6, 1.0]),
)
def test_places_keep_their_promises(seed, count, max_overlap, min_visible):
    rng = np.random.default_rng(seed)
    solids = []
    for _ in range(count):
        solid = rng.random(tuple(rng.integers(3, 14, size=2))) < 0.7
        solid[0, 0] = True
        solids.append(solid)
    found = find_places(solids, 40, rng, max_overlap=max_overlap, min_visible=min_visible)
    if found is None:
        return
    corners, owner = found
    painted = np.full((40, 40), -1)
    for index, (solid, (x, y)) in enumerate(zip(solids, corners, strict=True)):
        for row, column in zip(*np.nonzero(solid), strict=True):
            painted[y + row, x + column] = index
    assert np.array_equal(painted, owner)
    for index, solid in enumerate(solids):
        assert (owner == index).sum() >= min_visible * solid.sum()
    if max_overlap == 0:
        covered = np.zeros((40, 40), int)
        for solid, (x, y) in zip(solids, corners, strict=True):
            covered[y : y + solid.shape[0], x : x + solid.shape[1]] += 1
        assert covered.max() <= 1


def test_what_does_not_fit_is_refused():
    solids = [np.ones((30, 30), bool)] * 3
    rng = np.random.default_rng(0)
    assert find_places(solids, 40, rng, max_overlap=0.1, min_visible=0.5) is None


def test_a_layout_may_be_refused():
    solids = [np.ones((4, 4), bool)]

    def on_the_left(corners, owner):
        return corners[0][0] < 3

    for seed in range(20):
        rng = np.random.default_rng(seed)
        found = find_places(solids, 12, rng, max_overlap=0, min_visible=1, accepts=on_the_left)
        assert found is None or found[0][0][0] < 3


@given(st.integers(0, 10**6))
def test_boxes_are_tight(seed):
    rng = np.random.default_rng(seed)
    mask = rng.random((9, 12)) < 0.05
    mask[rng.integers(9), rng.integers(12)] = True
    pixels = [(x, y) for y in range(9) for x in range(12) if mask[y, x]]
    xs, ys = [x for x, _ in pixels], [y for _, y in pixels]
    assert tight_box(mask) == (min(xs), min(ys), max(xs) + 1, max(ys) + 1)


def test_a_whole_mask():
    assert tight_box(np.ones((3, 5), bool)) == pytest.approx((0, 0, 5, 3))
