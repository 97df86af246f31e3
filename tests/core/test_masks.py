import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from diglot.core import masks
from diglot.core.errors import DataError
from diglot.core.types import Rle

MASKS = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=24))


@given(MASKS)
def test_a_mask_comes_back(mask):
    rle = masks.encode_mask(mask)
    decoded = masks.decode_mask(rle)
    assert decoded.dtype == np.bool_
    assert np.array_equal(decoded, mask)
    assert masks.mask_area(rle) == sum(bool(pixel) for row in mask for pixel in row)


def test_runs_go_down_the_columns():
    mask = np.zeros((3, 2), dtype=bool)
    mask[2, 0] = mask[0, 1] = True  # runs: 2 off, 2 on, 2 off
    assert masks.encode_mask(mask).counts == "222"


def test_the_encoding_of_a_non_contiguous_view():
    mask = np.zeros((8, 8), dtype=bool)
    mask[::2] = True
    assert np.array_equal(masks.decode_mask(masks.encode_mask(mask[:, ::2])), mask[:, ::2])


@pytest.mark.parametrize(
    "mask", [np.zeros((2, 2), np.uint8), np.zeros((2, 2, 1), bool), np.zeros((0, 4), bool)]
)
def test_what_is_no_mask_is_refused(mask):
    with pytest.raises(DataError, match="not a mask"):
        masks.encode_mask(mask)


@settings(max_examples=400)
@given(st.text(st.characters(min_codepoint=0, max_codepoint=300), max_size=12), st.data())
def test_any_string_decodes_or_is_refused(counts, data):
    size = (data.draw(st.integers(-1, 40)), data.draw(st.integers(-1, 40)))
    try:
        decoded = masks.decode_mask(Rle(size_hw=size, counts=counts))
    except DataError:
        return
    assert decoded.shape == size


@given(MASKS, st.integers(-3, 3), st.integers(-3, 3))
def test_a_mask_of_another_size_is_refused(mask, taller, wider):
    size = (mask.shape[0] + taller, mask.shape[1] + wider)
    if min(size) < 1 or size[0] * size[1] == mask.size:
        return
    with pytest.raises(DataError):
        masks.mask_area(Rle(size_hw=size, counts=masks.encode_mask(mask).counts))


def test_a_huge_mask_is_refused_before_it_is_allocated():
    side = 10**6
    counts = masks.encode_mask(np.zeros((1, 1), bool)).counts
    with pytest.raises(DataError, match="size is not usable"):
        masks.decode_mask(Rle(size_hw=(side, side), counts=counts))


def test_runs_longer_than_the_mask_are_refused():
    with pytest.raises(DataError, match="corrupt"):
        masks.decode_mask(Rle(size_hw=(4, 4), counts="oooooo1"))
