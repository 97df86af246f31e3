import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from diglot.core.preprocess import Preprocess
from diglot.metrics.pointing import centres_inside


def slow_inside(cells, mask):
    """Look every centre's pixel up, one by one."""
    found = []
    for x0, y0, x1, y1 in cells:
        x, y = (x0 + x1) / 2, (y0 + y1) / 2
        on_image = 0 <= x < mask.shape[1] and 0 <= y < mask.shape[0]
        found.append(bool(on_image and mask[int(y), int(x)]))
    return found


@given(st.integers(0, 2**32 - 1), st.sampled_from(["squash", "pad", "center_crop", "tiles"]))
def test_equals_looking_every_centre_up(seed, mode):
    rng = np.random.default_rng(seed)
    size_hw = tuple(int(side) for side in rng.integers(20, 90, 2))
    mask = rng.random(size_hw) < 0.5
    grid = Preprocess(mode=mode, image_px=32).token_grid(size_hw, patch_px=8)
    assert centres_inside(grid.cells_P4, mask).tolist() == slow_inside(grid.cells_P4, mask)


def test_padding_is_never_inside():
    grid = Preprocess(mode="pad", image_px=32).token_grid((16, 64), patch_px=8)
    inside = centres_inside(grid.cells_P4, np.ones((16, 64), bool)).reshape(4, 4)
    assert inside.any(axis=1).tolist() == [False, True, False, False]
