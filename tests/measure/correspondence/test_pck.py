"""PCK under letterbox: a slow loop, cases by hand, what does not count, chance."""

import math

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate, normalize

from diglot.core.errors import ConfigError, DataError
from diglot.data.pairs import points_array
from diglot.measure.correspondence.maps import cell_places
from diglot.measure.correspondence.matching import MatchConfig, match_letterbox
from diglot.measure.correspondence.pck import c_score, match_points, score_record
from diglot.measure.correspondence.upsampling import enlarged_cosines
from tests.select.pair_samples import batch, pair, random_pairs

ALPHAS = (0.3, 0.1)


def found(made, **config):
    return match_letterbox(made, MatchConfig(**config), ALPHAS)


def one_hot(*grid_hw):
    count = math.prod(grid_hw)
    return np.eye(count).reshape(1, *grid_hw, count)


# --- a slow reference: one point, one cell at a time, geometry written out again ---


def slow_letterbox(size_hw, px):
    """(scale x, scale y, left, top): a point's place in the padded square."""
    height, width = size_hw
    scale, long = px / max(size_hw), max(size_hw)
    return scale, scale, (long - width) // 2 * scale, (long - height) // 2 * scale


def slow_cosine(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True)) / (math.hypot(*a) * math.hypot(*b))


def slow_bilinear(map_hwE, x, y):
    height, width = len(map_hwE), len(map_hwE[0])
    x, y = min(max(x, 0), width - 1), min(max(y, 0), height - 1)
    mixed = 0
    for row in (math.floor(y), math.floor(y) + 1):
        for column in (math.floor(x), math.floor(x) + 1):
            weight = max(0, 1 - abs(y - row)) * max(0, 1 - abs(x - column))
            if weight:
                mixed = mixed + weight * map_hwE[row][column]
    return mixed


def slow_ratio(one, k, source, target, *, px, patch, read):
    sx, sy, left, top = slow_letterbox(one.source.size_hw, px)
    x, y = one.source.points_K2[k]
    x, y = (x * sx + left) / patch, (y * sy + top) / patch
    if read == "nearest":
        rows, columns = source.shape[:2]
        feature = source[min(int(y), rows - 1)][min(int(x), columns - 1)]
    else:
        feature = slow_bilinear(source, x - 0.5, y - 0.5)
    sx, sy, left, top = slow_letterbox(one.target.size_hw, px)
    height, width = one.target.size_hw
    best, place = -2.0, None
    for row in range(len(target)):
        for column in range(len(target[0])):
            x0, x1 = ((c * patch - left) / sx for c in (column, column + 1))
            y0, y1 = ((r * patch - top) / sy for r in (row, row + 1))
            x0, x1 = max(x0, 0), min(x1, width)
            y0, y1 = max(y0, 0), min(y1, height)
            cosine = slow_cosine(feature, target[row][column])
            if x1 - x0 > 1e-6 and y1 - y0 > 1e-6 and cosine > best:
                best, place = cosine, ((x0 + x1) / 2, (y0 + y1) / 2)
    longer = max(one.box[2] - one.box[0], one.box[3] - one.box[1])
    return math.dist(place, one.target.points_K2[k]) / longer


@pytest.mark.parametrize("read", ["bilinear", "nearest"])
def test_agrees_with_the_slow_reference(read):
    rng = np.random.default_rng(0)
    pairs = random_pairs(rng, 6, points=5)
    made = batch(pairs, *rng.normal(size=(2, 6, 5, 5, 3)), image_px=42)  # 2 px behind no cell
    ratio_BK = found(made, read=read).ratio_BK
    for b, one in enumerate(pairs):
        maps = (made.source_BhwE[b].double().numpy(), made.target_BhwE[b].double().numpy())
        for k in range(5):
            slow = slow_ratio(one, k, *maps, px=42, patch=8, read=read)
            assert ratio_BK[b, k] == pytest.approx(slow, abs=1e-9), (b, k)


@pytest.mark.parametrize("factor", [1, 2, 5])
def test_enlarged_cosines_are_those_of_the_enlarged_features(factor):
    generator = torch.Generator().manual_seed(1)
    target = normalize(torch.randn(2, 3, 4, 6, generator=generator), dim=-1)
    source = normalize(torch.randn(2, 5, 6, generator=generator), dim=-1)
    grown = interpolate(target.movedim(-1, 1), scale_factor=factor, mode="bilinear")
    slow = torch.einsum("bke,behw->bkhw", source, normalize(grown, dim=1))
    assert enlarged_cosines(source, target, factor) == pytest.approx(slow, abs=1e-5)


def test_an_enlarged_search_reaches_between_the_cells():
    """Cells at 4 and 12 alike to the source point in equal parts: the best place lies at 8."""
    source = one_hot(1, 4)
    source[0, 0, 0] = source[0, 0, 0] + source[0, 0, 1]
    maps = np.repeat(source, 4, 1), np.repeat(one_hot(1, 4), 4, 1)  # all rows are alike
    coarse = pair(((32, 32), [(4, 4)]), ((32, 32), [(8, 4)]))
    assert found(batch([coarse], *maps)).ratio_BK[0, 0] == pytest.approx(0.4)
    # the middles of 2-px places nearest to x = 8 are 7 and 9, the first row's is 1
    fine = pair(((32, 32), [(4, 4)]), ((32, 32), [(8, 1)]))
    assert found(batch([fine], *maps), upsample=4).ratio_BK[0, 0] == pytest.approx(0.1)


# --- by hand ---


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_a_turned_grid_of_identities_is_matched_exactly(turns):
    """Cell ids as features; the target is the picture turned, its points turned by hand."""
    source = one_hot(4, 4)
    target = np.rot90(source, turns, axes=(1, 2)).copy()
    xy = [(4.0, 4.0), (28.0, 4.0), (12.0, 20.0)]  # centres of cells (0,0), (3,0), (1,2)
    turned = xy
    for _ in range(turns):  # counter-clockwise: (x, y) goes to (y, 32 - x)
        turned = [(y, 32 - x) for x, y in turned]
    one = pair(((32, 32), xy), ((32, 32), turned))
    out = found(batch([one], source, target))
    assert out.ratio_BK == pytest.approx(np.zeros((1, 3)))
    assert out.best_BK == pytest.approx(np.zeros((1, 3)))


def test_tolerance_by_hand():
    """The right cell, but a point 3 px from its centre: right at 0.4 of a box of 10, not at 0.3."""
    maps = one_hot(4, 4)
    one = pair(((32, 32), [(4, 4)]), ((32, 32), [(7, 4)]), box=(0, 0, 10, 5))
    out = found(batch([one], maps, maps))
    assert out.ratio_BK[0, 0] == pytest.approx(0.3)
    # of 16 cells, centre (4, 4) is 3 px away and (12, 4) is 5 px: none is nearer than 0.3 * 10
    assert out.chance_BKA[0, 0].tolist() == [0.0, 0.0]
    measured = match_points([batch([one], maps, maps)], lambda b, a: found(b), (0.31, 0.299))
    assert [s.pooled.value for s in c_score(measured).overall.values()] == [1.0, 0.0]


def test_a_match_is_never_predicted_in_the_padding():
    """12 x 32 in a 32-px square stands at y 10 to 22: rows 0 and 3 of its cells are padding."""
    source = one_hot(4, 4)
    target = np.roll(source, 5, axis=-1)
    target[0, 3, 3] = source[0, 1, 0]  # padding, and just like the source point
    target[0, 2, 1] = source[0, 1, 0] + source[0, 0, 0]
    # cell (2, 1) spans y 16-24 of the square, of which 16-22 is picture: y 6-12, centre (12, 9)
    one = pair(((12, 32), [(4, 3)]), ((12, 32), [(12, 9)]))
    out = found(batch([one], source, target), read="nearest")
    assert out.ratio_BK[0, 0] == pytest.approx(0.0)
    assert cell_places(
        batch([one], source, target).target_views[0], (12, 32)
    ).inside_H.tolist() == [*(False, True, True, False)]


def test_points_out_of_frame_or_in_the_padding_or_hidden_do_not_count():
    maps = one_hot(4, 4)
    xy = [(4, 3), (40, 3), (4, -2), (4, 3), (32, 12)]
    # the third lies where the letterbox pads, the last on the picture's own corner
    one = pair(((12, 32), xy), ((12, 32), [(4, 3)] * 5), visible=[1, 1, 1, 0, 1])
    other = pair(((32, 32), [(4, 4)]), ((32, 32), [(33, 4)]), id="q")
    made = batch([one, other], np.repeat(maps, 2, 0), np.repeat(maps, 2, 0))
    measured = match_points([made], lambda b, a: found(b), ALPHAS)
    assert measured.pair_M.tolist() == [0, 0]
    score = c_score(measured)
    assert score.overall[0.3].pooled.n == 2
    assert score.left_out == {
        "keypoints not visible": 1,
        "keypoints beyond a picture": 3,
        "pairs without a keypoint": 1,
    }


def test_a_pair_without_points_is_no_trouble():
    maps = one_hot(4, 4)
    none = pair(((32, 32), []), ((32, 32), []))
    some = pair(((32, 32), [(4, 4)]), ((32, 32), [(4, 4)]), id="q")
    for pairs in ([none], [none, some]):
        made = batch(pairs, np.repeat(maps, len(pairs), 0), np.repeat(maps, len(pairs), 0))
        assert len(match_points([made], lambda b, a: found(b), ALPHAS).pair_M) == len(pairs) - 1
    assert c_score(match_points([], match_letterbox, ALPHAS)).overall[0.3].pooled.value is None


def test_pooled_counts_points_and_the_mean_counts_pairs():
    maps = np.repeat(one_hot(4, 4), 2, 0)
    right, wrong = (4.0, 4.0), (28.0, 28.0)
    one = pair(((32, 32), [right] * 4), ((32, 32), [right, wrong, wrong, wrong]), groups=("g", "h"))
    two = pair(((32, 32), [right]), ((32, 32), [right]), category="d", groups=("g",), id="q")
    score = c_score(match_points([batch([one, two], maps, maps)], lambda b, a: found(b), ALPHAS))
    whole = score.overall[0.3]
    assert (whole.pooled.value, whole.pair_mean.value) == (2 / 5, (1 / 4 + 1) / 2)
    assert {name: s[0.3].pooled.value for name, s in score.categories.items()} == {
        "c": 0.25,
        "d": 1,
    }
    assert {name: s[0.3].pooled.n for name, s in score.groups.items()} == {"g": 5, "h": 4}
    assert score_record(score)["overall"]["0.3"]["pooled"]["value"] == 2 / 5


def test_random_features_score_about_chance():
    rng = np.random.default_rng(2)
    pairs = random_pairs(rng, 60, points=40)
    made = batch(pairs, *rng.normal(size=(2, 60, 8, 8, 16)), image_px=64)
    score = c_score(match_points([made], lambda b, a: match_letterbox(b, MatchConfig(), a), (0.3,)))
    whole = score.overall[0.3]
    assert whole.pooled.low < whole.chance < whole.pooled.high
    assert whole.chance < whole.ceiling <= 1


@pytest.mark.parametrize("alphas", [(), (0.0,), (-1.0,), (float("nan"),)])
def test_wrong_alphas_are_refused(alphas):
    with pytest.raises(ConfigError, match="alpha must be above 0"):
        match_points([], match_letterbox, alphas)


def test_wrong_pairs_are_refused():
    with pytest.raises(DataError, match="pair 'p': target points do not fit"):
        pair(((9, 9), [(1, 1)]), ((9, 9), []))
    with pytest.raises(DataError, match="box is empty"):
        pair(((9, 9), []), ((9, 9), []), box=(3, 3, 3, 9))
    with pytest.raises(DataError, match="not a list of xy"):
        points_array([[1, 2, 3]])
