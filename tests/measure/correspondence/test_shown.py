"""What a page shows of a pair is what the C score counts."""

import numpy as np
import pytest

from diglot.measure.correspondence.config import MatchConfig
from diglot.measure.correspondence.matching import match_letterbox
from diglot.measure.correspondence.shown import find_points
from tests.select.pair_samples import batch, random_pairs


@pytest.mark.parametrize("upsample", [1, 3])
def test_errors_are_those_of_the_c_score(upsample):
    rng, config = np.random.default_rng(3), MatchConfig(upsample=upsample)
    pairs = random_pairs(rng, 4, points=5)
    made = batch(pairs, *(rng.normal(size=(4, 4, 4, 6)) for _ in range(2)))
    ratio_BK = match_letterbox(made, config, (0.1,)).ratio_BK
    for b, pair in enumerate(pairs):
        maps = made.source_BhwE[b], made.target_BhwE[b]
        views = made.source_views[b], made.target_views[b]
        for found in find_points(pair, maps, views, [0, 2, 4], config):
            assert found.error == pytest.approx(ratio_BK[b, found.point])
            x, y = found.predicted
            x0, y0, x1, y1 = found.boxes[int(found.cosine_P.argmax())]
            assert x0 < x < x1
            assert y0 < y < y1
            assert len(found.boxes) == len(found.cosine_P)
            height, width = pair.target.size_hw
            area = sum((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in found.boxes)
            # slivers thinner than what touching means are not searched
            assert area == pytest.approx(height * width, rel=0.05)
