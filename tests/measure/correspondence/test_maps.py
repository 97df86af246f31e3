"""Feature maps of several encoders on one grid."""

import pytest
import torch
from torch.nn.functional import normalize

from diglot.core.preprocess import Preprocess
from diglot.measure.correspondence.maps import common_grid, join_maps


def view(image_px, patch_px, size_hw=(40, 60)):
    grid = Preprocess(mode="pad", image_px=image_px).token_grid(size_hw, patch_px=patch_px)
    return grid.views[0]


def test_every_encoder_counts_alike():
    """On one grid the joined cosine is the mean of the encoders' cosines, whatever their scale."""
    one, two = torch.randn(4, 4, 3), 100 * torch.randn(4, 4, 7)
    views = [view(32, 8)] * 2
    both = join_maps([one, two], views, (40, 60)).flatten(0, 1)
    cosines = [m @ m.T for m in (normalize(m, dim=-1).flatten(0, 1) for m in (one, two))]
    assert both @ both.T == pytest.approx((cosines[0] + cosines[1]) / 2, abs=1e-6)


def test_the_finest_grid_is_kept_and_others_are_read_at_its_cells():
    """A coarse map whose channels are its cells' centres: read at fine cells, it gives theirs."""
    coarse, fine = view(32, 8), view(48, 6)
    assert common_grid([coarse, fine]) == 1
    where = torch.tensor([[[x + 10.0, y + 10.0] for x in range(4)] for y in range(4)])
    map_hwE = join_maps([where, torch.ones(8, 8, 1)], [coarse, fine], (40, 60))
    assert map_hwE.shape == (8, 8, 3)
    assert map_hwE[..., 2].square() == pytest.approx(torch.full((8, 8), 0.5))
    x, y, _ = map_hwE[3, 5]  # its centre, 5.5 and 3.5 of 8, is 2.25 and 1.25 of 4 coarse cells
    # unit vectors are mixed, so the direction is only near that of the mixed centres
    assert float(x / y) == pytest.approx(12.25 / 11.25, abs=0.01)


def test_one_encoder_is_only_brought_to_unit_length():
    one = torch.randn(4, 4, 3)
    assert torch.equal(join_maps([one], [view(32, 8)], (40, 60)), normalize(one, dim=-1))
