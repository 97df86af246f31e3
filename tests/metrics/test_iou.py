import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diglot.core.preprocess import Preprocess
from diglot.metrics.iou import (
    Target,
    best_iou,
    cells_iou,
    choose_threshold,
    iou_by_threshold,
    target_on_grid,
)

SEEDS = st.integers(0, 2**32 - 1)


def painted(grid, chosen):
    """The chosen cells as pixels of the image (cells lie on whole pixels here)."""
    mask = np.zeros(grid.size_hw, bool)
    for x0, y0, x1, y1 in grid.cells_P4[chosen].round().astype(int):
        mask[max(0, y0) : max(0, y1), max(0, x0) : max(0, x1)] = True
    return mask


@settings(max_examples=50)
@given(SEEDS, st.sampled_from(["squash", "pad", "center_crop"]))
def test_equals_counting_pixels(seed, mode):
    rng = np.random.default_rng(seed)
    size_hw = (32, 64) if mode != "squash" else (32, 32)
    grid = Preprocess(mode=mode, image_px=32).token_grid(size_hw, patch_px=8)
    mask, chosen = rng.random(size_hw) < rng.random(), rng.random(len(grid)) < rng.random()
    paint = painted(grid, chosen)
    union = (paint | mask).sum()
    want = (paint & mask).sum() / union if union else 0.0
    assert cells_iou(chosen, target_on_grid(grid, mask)) == pytest.approx(want)


def random_target(rng, count):
    area = rng.random(count) + 0.1
    covered = area * rng.random(count) * (rng.random(count) < 0.7)
    return Target(covered, area, float(covered.sum() + rng.random()))


@given(SEEDS)
def test_by_threshold_equals_choosing_the_cells(seed):
    rng = np.random.default_rng(seed)
    target, score = random_target(rng, 9), rng.integers(-3, 4, 9) / 4
    thresholds = [-2.0, *sorted(set(score.tolist())), 0.1, 2.0]
    want = [cells_iou(score >= threshold, target) for threshold in thresholds]
    assert iou_by_threshold(score, target, thresholds) == pytest.approx(want)


@given(SEEDS)
def test_best_iou_is_the_best_of_all_subsets(seed):
    target = random_target(np.random.default_rng(seed), 6)
    subsets = itertools.product([False, True], repeat=6)
    assert best_iou(target) == pytest.approx(max(cells_iou(np.array(s), target) for s in subsets))


def test_chosen_threshold_is_as_good_as_any_candidate():
    rng = np.random.default_rng(0)
    targets = [random_target(rng, 9) for _ in range(5)]
    scores = [t.covered_P / t.area_P + rng.normal(0, 0.2, 9) for t in targets]
    threshold = choose_threshold(scores, targets, steps=21)

    def mean(at):
        return np.mean([cells_iou(s >= at, t) for s, t in zip(scores, targets, strict=True)])

    candidates = np.quantile(np.concatenate(scores), np.linspace(0, 1, 21))
    assert mean(threshold) == pytest.approx(max(mean(at) for at in candidates))


def test_empty_cases_have_values():
    nothing = Target(np.zeros(4), np.ones(4), 0.0)
    assert cells_iou(np.zeros(4, bool), nothing) == 0.0
    assert cells_iou(np.ones(4, bool), nothing) == 0.0
    assert best_iou(nothing) == 0.0
    assert iou_by_threshold(np.zeros(0), Target(np.zeros(0), np.zeros(0), 0.0), [0.0]) == [0.0]
    with pytest.raises(ValueError, match="no items"):
        choose_threshold([], [])
