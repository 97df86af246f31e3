"""One definition of how much of a cell a region covers."""

import numpy as np
import pytest

from diglot.core import masks
from diglot.core.errors import DataError
from diglot.core.preprocess import Preprocess
from diglot.core.region import Region, Rle
from diglot.core.region_cover import box_pixels, region_cover, region_pixels

GRID = Preprocess(image_px=32).token_grid((16, 16), patch_px=8)  # cells of 4 px


def test_a_box_is_not_rounded_to_pixels() -> None:
    region = Region(phrase="x", box=(0.4, 0.0, 4.0, 4.0))
    assert region_cover(region, GRID)[0] == pytest.approx(0.9)
    assert GRID.mask_cover(region_pixels(region, (16, 16)))[0] == pytest.approx(0.9)
    assert box_pixels((0.4, 0.0, 4.0, 4.0), (16, 16))[0, :5].tolist() == [0.6, 1, 1, 1, 0]
    assert box_pixels((-3.0, 2.25, 99.0, 2.5), (4, 4)).sum() == pytest.approx(4 * 0.25)


def test_a_mask_goes_before_the_box() -> None:
    mask_HW = np.zeros((16, 16), bool)
    mask_HW[:4, :2] = True
    region = Region(phrase="x", box=(0.0, 0.0, 4.0, 4.0), mask=masks.encode_mask(mask_HW))
    assert region_cover(region, GRID)[:2].tolist() == [0.5, 0.0]
    assert region_pixels(region, (16, 16)).sum() == 8
    broken = Region(phrase="x", box=region.box, mask=Rle(size_hw=(16, 16), counts="0"))
    with pytest.raises(DataError, match=r"^regions\[1\]\.mask: mask runs"):
        region_cover(broken, GRID, where="regions[1]")
