"""The authors' public way of scoring, against loops written from what their code does."""

import math

import numpy as np
import pytest

from diglot.core.errors import ConfigError
from diglot.measure.correspondence.law_compat import letterbox_points, match_law_compat
from diglot.measure.correspondence.pck import c_score, match_points
from tests.select.pair_samples import batch, pair, random_pairs


def slow_square(point, size_hw):
    """A point in the padded 840-px square: scaled by the longer side, shifted by whole pixels."""
    height, width = size_hw
    scale = 840 / max(size_hw)
    left = int((840 - int(np.around(840 * width / height))) / 2) if width < height else 0
    top = int((840 - int(np.around(840 * height / width))) / 2) if height < width else 0
    return point[0] * scale + left, point[1] * scale + top


def slow_ratio(one, k, source, target, window):
    cells = len(target)
    x, y = slow_square(one.source.points_K2[k], one.source.size_hw)
    x, y = (min(int(cells / 840 * v), cells - 1) for v in (x, y))
    cosines = np.array(
        [[float(np.dot(source[y][x], target[r][c])) for c in range(cells)] for r in range(cells)]
    )
    best_y, best_x = divmod(int(cosines.argmax()), cells)
    weights, at_x, at_y = 0.0, 0.0, 0.0
    for row in range(cells):
        for column in range(cells):
            near = abs(row - best_y) <= window and abs(column - best_x) <= window
            weight = math.exp((cosines[row, column] if near else 0.0) / 0.02)
            weights, at_x, at_y = weights + weight, at_x + weight * column, at_y + weight * row
    stride = 840 / cells
    found = tuple(at / weights * stride + stride // 2 for at in (at_x, at_y))
    true = slow_square(one.target.points_K2[k], one.target.size_hw)
    longer = max(one.box[2] - one.box[0], one.box[3] - one.box[1])
    return math.dist(found, true) / (longer * 840 / max(one.target.size_hw))


@pytest.mark.parametrize("window", [0, 1, 5])
def test_agrees_with_the_slow_reference(window):
    rng = np.random.default_rng(0)
    pairs = random_pairs(rng, 5)
    made = batch(pairs, *rng.normal(size=(2, 5, 6, 6, 4)), mode="squash", image_px=48)
    ratio_BK = match_law_compat(made, (0.1,), window=window).ratio_BK
    for b, one in enumerate(pairs):
        maps = made.source_BhwE[b].double().numpy(), made.target_BhwE[b].double().numpy()
        for k in range(7):
            slow = slow_ratio(one, k, *maps, window)
            assert ratio_BK[b, k] == pytest.approx(slow, abs=1e-4), (b, k)


def test_points_are_letterboxed_though_pictures_are_squashed():
    """On a 20 x 40 picture the middle of the top edge lies a quarter down the square."""
    one = pair(((20, 40), [(20, 0)]), ((20, 40), [(20, 0)]))
    assert letterbox_points(one.source).tolist() == [[420.0, 210.0]]


def test_a_sure_match_lands_on_its_cell():
    """One-hot ids on an 8-cell grid: cell (3, 5) stands at 105 * cell + 52 of the square."""
    maps = np.eye(64).reshape(1, 8, 8, 64)
    xy = [((5 * 105 + 52) / 10, (3 * 105 + 52) / 10)]
    one = pair(((84, 84), xy), ((84, 84), xy))
    found = match_law_compat(batch([one], maps, maps, mode="squash", image_px=64), (0.1,))
    assert found.ratio_BK[0, 0] == pytest.approx(0.0, abs=1e-9)


def test_the_mean_over_categories_weighted_by_pairs_is_the_mean_over_pairs():
    rng = np.random.default_rng(3)
    pairs = random_pairs(rng, 3) + random_pairs(rng, 5, category="d")
    made = batch(pairs, *rng.normal(size=(2, 8, 6, 6, 4)), mode="squash", image_px=48)
    score = c_score(match_points([made], match_law_compat, (0.5,)))
    assert score.overall[0.5].ceiling is None
    by_category = [score.categories[name][0.5].pair_mean.value for name in ("c", "d")]
    assert score.overall[0.5].pair_mean.value == pytest.approx(
        np.average(by_category, weights=[3, 5])
    )


def test_maps_that_are_not_square_are_refused():
    maps = np.ones((1, 4, 5, 2))
    one = pair(((9, 9), []), ((9, 9), []))
    with pytest.raises(ConfigError, match="square feature maps"):
        match_law_compat(batch([one], maps, maps), (0.1,))
