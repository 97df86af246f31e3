import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diglot.core.preprocess import Preprocess
from diglot.metrics.align import RULES, align_iou, chosen_tokens, otsu_threshold, threshold_of
from diglot.metrics.iou import target_on_grid


def slow_otsu(values):
    """Try every value as the threshold; the split with the largest variance between sides."""
    best, chosen = -1.0, max(values)
    for threshold in sorted(set(values))[:-1]:
        low = [v for v in values if v <= threshold]
        high = [v for v in values if v > threshold]
        between = len(low) * len(high) * (np.mean(low) - np.mean(high)) ** 2
        if between > best * (1 + 1e-9):
            best, chosen = between, threshold
    return chosen


@given(st.lists(st.integers(-20, 20), min_size=1, max_size=30))
def test_otsu_is_the_best_split(values):
    values = [v / 20 for v in values]
    assert otsu_threshold(np.array(values)) == pytest.approx(slow_otsu(values))


def target_of(mask):
    return target_on_grid(Preprocess(image_px=32).token_grid((32, 32), patch_px=8), mask)


def block():
    mask = np.zeros((32, 32), bool)
    mask[:16, 8:24] = True
    return mask


@pytest.mark.parametrize("rule", [*[r for r in RULES if r != "quantile"], 0.5])
def test_tokens_that_are_the_object_give_one_and_the_others_zero(rule):
    target = target_of(block())
    on = target.covered_P / target.area_P
    assert align_iou(on + 0.01 * np.arange(16) / 16, target, rule) == 1.0
    assert align_iou(-on, target, rule) == 0.0


def test_rules_choose_by_their_names():
    rng = np.random.default_rng(0)
    cosine, target = rng.normal(size=16), target_of(block())
    assert chosen_tokens(cosine, target, "oracle_area").sum() == 4
    assert chosen_tokens(cosine, target, "quantile").sum() == 2
    assert threshold_of(cosine, "mean_std") == pytest.approx(cosine.mean() + cosine.std())
    assert chosen_tokens(cosine, target, 0.3).tolist() == [c > 0.3 for c in cosine]
    assert not chosen_tokens(np.zeros(16), target, "otsu").any()
    with pytest.raises(ValueError, match="no rule"):
        chosen_tokens(cosine, target, "best")  # type: ignore[arg-type]


def slow_choice(cosine, rule, cells):
    """Which tokens a rule takes, one by one; `cells`: the mask's area in cells."""
    if rule == "oracle_area":
        best = sorted(range(16), key=lambda p: -cosine[p])[: max(1, round(cells))]
        return [p in best for p in range(16)]
    mean = sum(cosine) / 16
    ordered = sorted(cosine)
    limit = {
        "otsu": slow_otsu(cosine),
        "quantile": ordered[13] + 0.5 * (ordered[14] - ordered[13]),  # rank .9 x 15
        "mean_std": mean + (sum((c - mean) ** 2 for c in cosine) / 16) ** 0.5,
        0.25: 0.25,
    }[rule]
    return [c > limit for c in cosine]


@pytest.mark.parametrize("rule", [*RULES, 0.25])
@given(seed=st.integers(0, 2**32 - 1))
def test_align_equals_counting_pixels_of_what_the_rule_takes(rule, seed):
    rng = np.random.default_rng(seed)
    cosine, mask = rng.uniform(-1, 1, 16), rng.random((32, 32)) < rng.random()
    chosen = np.array(slow_choice(cosine.tolist(), rule, mask.sum() / 64)).reshape(4, 4)
    painted = chosen.repeat(8, axis=0).repeat(8, axis=1)
    union = (painted | mask).sum()
    want = (painted & mask).sum() / union if union else 0.0
    assert align_iou(cosine, target_of(mask), rule) == pytest.approx(want)
