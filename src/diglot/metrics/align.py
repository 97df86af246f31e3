"""Align(V, W): do the visual tokens near a label's embedding make the object's mask?

Source: Patch-aligned, section 3.2.1: the tokens whose cosine with the label exceeds an adaptive
threshold c are the predicted mask; its IoU with the true mask, mean over objects. The paper does
not define "adaptive": each rule below is one reading, and the rule stands with every result.
Legend: P visual tokens.
"""

from typing import Literal, get_args

import numpy as np

from diglot.metrics.iou import Target, cells_iou

Rule = Literal["otsu", "quantile", "mean_std", "oracle_area"]
RULES: tuple[Rule, ...] = get_args(Rule)
QUANTILE = 0.9


def chosen_tokens(cosine_P: np.ndarray, target: Target, rule: Rule | float) -> np.ndarray:
    """Which tokens make the predicted mask, bool (P,).

    otsu: above the split of the image's cosines with the largest variance between its two sides.
    quantile: the highest tenth. mean_std: above mean + one standard deviation. oracle_area: as many
    of the highest as the true mask covers cells, at least one; it reads the truth, so it is an
    upper reading. A number: cosines above it. Raises ValueError for an unknown rule.
    """
    cosine = np.asarray(cosine_P, np.float64)
    if rule == "oracle_area":
        return _highest_cosines(cosine, target)
    return cosine > threshold_of(cosine, rule)


def threshold_of(cosine_P: np.ndarray, rule: Rule | float) -> float:
    """The threshold of a rule that reads the cosines alone. Raises ValueError for another."""
    if isinstance(rule, (int, float)):
        return float(rule)
    if not len(cosine_P):
        raise ValueError("no tokens to choose a threshold on")
    match rule:
        case "otsu":
            return otsu_threshold(cosine_P)
        case "quantile":
            return float(np.quantile(cosine_P, QUANTILE))
        case "mean_std":
            return float(np.mean(cosine_P) + np.std(cosine_P))
    raise ValueError(f"no rule {rule!r}: one of {', '.join(RULES)}, or a number")


def otsu_threshold(value_P: np.ndarray) -> float:
    """The value at or below which the lower side of Otsu's split lies; exact, without a histogram.

    Of equal splits the lowest; for values all equal the value itself, so nothing lies above it.
    """
    value = np.sort(np.asarray(value_P, np.float64))
    low_count = np.arange(1, len(value))
    low_sum = np.cumsum(value)[:-1]
    low_mean = low_sum / low_count
    high_mean = (value.sum() - low_sum) / (len(value) - low_count)
    between = low_count * (len(value) - low_count) * (high_mean - low_mean) ** 2
    # a split inside a run of equal values is none
    between = np.where(value[1:] > value[:-1], between, -1.0)
    if not len(between) or between.max() < 0:
        return float(value[-1])
    # equal but for rounding is equal
    return float(value[int((between >= between.max() * (1 - 1e-9)).argmax())])


def _highest_cosines(cosine_P: np.ndarray, target: Target) -> np.ndarray:
    """As many of the highest cosines as the mask's area on the grid has cells."""
    cell_px = target.area_P[target.area_P > 0]
    wanted = round(float(target.covered_P.sum() / cell_px.mean())) if len(cell_px) else 0
    chosen = np.zeros(len(cosine_P), dtype=bool)
    chosen[np.argsort(-cosine_P, kind="stable")[: max(1, wanted)]] = True
    return chosen


def align_iou(cosine_P: np.ndarray, target: Target, rule: Rule | float) -> float:
    """IoU of the predicted with the true mask of one object, in [0, 1]."""
    return cells_iou(chosen_tokens(cosine_P, target, rule), target)
