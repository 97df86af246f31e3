"""TokenGrid against counting sub-pixels one by one, over random images, boxes, masks and modes."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from diglot.core.errors import ConfigError, DataError
from diglot.core.geometry import TokenGrid, View
from diglot.core.native_sizes import native_size
from diglot.core.preprocess import Preprocess
from diglot.core.tile_grids import tile_grid

MODES = ("squash", "center_crop", "pad", "tiles", "native")
MANY = settings(max_examples=40, derandomize=True, deadline=None)

sides = st.integers(3, 24)
sizes = st.tuples(sides, sides)


@st.composite
def grids(draw: st.DrawFn, modes: tuple[str, ...] = MODES, remainder: bool = True) -> TokenGrid:
    patch = draw(st.sampled_from([3, 4]))
    factor = draw(st.integers(1, 2))
    extra_px = draw(st.integers(0, patch - 1)) if remainder else 0
    preprocess = Preprocess(
        mode=draw(st.sampled_from(modes)),
        image_px=patch * factor * draw(st.integers(1, 3)) + extra_px,
        max_tiles=draw(st.integers(1, 5)),
        thumbnail=draw(st.booleans()),
        min_pixels=draw(st.integers(1, 100)),
        max_pixels=draw(st.integers(100, 900)),
    )
    return preprocess.token_grid(draw(sizes), patch_px=patch, unshuffle=factor)


@st.composite
def grids_with_boxes(draw: st.DrawFn, modes: tuple[str, ...] = MODES, remainder: bool = True):
    grid = draw(grids(modes, remainder))
    height, width = grid.size_hw
    x = sorted(draw(st.tuples(*[st.floats(-1, width + 1, width=32)] * 2)))
    y = sorted(draw(st.tuples(*[st.floats(-1, height + 1, width=32)] * 2)))
    assume(x[1] - x[0] > 1e-3)
    assume(y[1] - y[0] > 1e-3)
    return grid, (x[0], y[0], x[1], y[1])


@st.composite
def grids_with_masks(draw: st.DrawFn) -> tuple[TokenGrid, np.ndarray]:
    grid = draw(grids())
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return grid, rng.random(grid.size_hw) < draw(st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]))


def count_pixels(view: View, mask_HW: np.ndarray) -> np.ndarray:
    """Covers of one view, counted: cut every original pixel into so many sub-pixels that every
    pixel of the resized image is a whole number of them, then cut window and cells out."""
    if view.canvas:
        left, top, right, bottom = view.canvas
        height, width = mask_HW.shape
        mask_HW = np.pad(mask_HW, ((-top, bottom - height), (-left, right - width)))
    sub, span = [], []  # sub-pixels a side of an original pixel, and of a resized one
    for original, resized in zip(mask_HW.shape, view.resize_hw, strict=True):
        common = math.gcd(original, resized)
        sub.append(resized // common)
        span.append(original // common)
    fine = mask_HW.repeat(sub[0], axis=0).repeat(sub[1], axis=1)
    covers = []
    for row in range(view.grid_hw[0]):
        for column in range(view.grid_hw[1]):
            top = (view.window[1] + row * view.cell_px) * span[0]
            left = (view.window[0] + column * view.cell_px) * span[1]
            height, width = view.cell_px * span[0], view.cell_px * span[1]
            cell = fine[max(top, 0) : max(top + height, 0), max(left, 0) : max(left + width, 0)]
            covers.append(np.count_nonzero(cell) / (height * width))
    return np.array(covers)


def count_all(grid: TokenGrid, mask_HW: np.ndarray) -> np.ndarray:
    return np.concatenate([count_pixels(view, mask_HW) for view in grid.views])


def exact_cells(grid: TokenGrid) -> list[tuple[Fraction, ...]]:
    """Cells in original pixels, without rounding."""
    cells = []
    for view in grid.views:
        left, top, end_x, end_y = view.canvas or (0, 0, *grid.size_hw[::-1])
        y_scale = Fraction(end_y - top, view.resize_hw[0])
        x_scale = Fraction(end_x - left, view.resize_hw[1])
        for row in range(view.grid_hw[0]):
            for column in range(view.grid_hw[1]):
                x = view.window[0] + column * view.cell_px
                y = view.window[1] + row * view.cell_px
                right, bottom = x + view.cell_px, y + view.cell_px
                cell = (x * x_scale, y * y_scale, right * x_scale, bottom * y_scale)
                cells.append(tuple(a + b for a, b in zip(cell, (left, top) * 2, strict=True)))
    return cells


def exact_cover(
    cell: tuple[Fraction, ...], box: tuple[float | Fraction, ...], size_hw: tuple[int, int]
) -> Fraction:
    x0, y0, x1, y1 = (Fraction(v) for v in box)
    x0, y0, x1, y1 = max(x0, 0), max(y0, 0), min(x1, size_hw[1]), min(y1, size_hw[0])
    width = min(cell[2], x1) - max(cell[0], x0)
    height = min(cell[3], y1) - max(cell[1], y0)
    if width <= 0 or height <= 0:
        return Fraction(0)
    return width * height / ((cell[2] - cell[0]) * (cell[3] - cell[1]))


@MANY
@given(grids())
def test_cells_are_those_without_rounding(grid: TokenGrid) -> None:
    exact = np.array([[float(edge) for edge in cell] for cell in exact_cells(grid)])
    np.testing.assert_allclose(grid.cells_P4, exact, rtol=1e-12, atol=1e-12)
    assert len(grid) == len(exact) == len(grid.view_P)


@MANY
@given(grids_with_masks())
def test_mask_cover_counts_sub_pixels(case: tuple[TokenGrid, np.ndarray]) -> None:
    grid, mask = case
    cover = grid.mask_cover(mask)
    np.testing.assert_allclose(cover, count_all(grid, mask), atol=1e-9)
    assert cover.min() >= 0
    assert cover.max() <= 1


@MANY
@given(grids_with_boxes())
def test_box_cover_equals_the_exact_overlap(case) -> None:
    grid, box = case
    cover = grid.box_cover(box)
    exact = [exact_cover(cell, box, grid.size_hw) for cell in exact_cells(grid)]
    np.testing.assert_allclose(cover, [float(c) for c in exact], atol=1e-6)
    assert cover.min() >= 0
    assert cover.max() <= 1
    # What is not there at all is exactly 0: any overlap counts, so a rounding would be a token.
    assert not cover[[c == 0 for c in exact]].any()


@MANY
@given(grids_with_boxes())
def test_box_of_whole_pixels_equals_its_mask(case) -> None:
    grid, box = case
    mask = np.zeros(grid.size_hw, bool)
    x0, y0, x1, y1 = (max(0, round(v)) for v in box)
    mask[y0:y1, x0:x1] = True
    cover = grid.box_cover((float(x0), float(y0), float(x1), float(y1)))
    np.testing.assert_allclose(cover, count_all(grid, mask), atol=1e-9)
    np.testing.assert_allclose(cover, grid.mask_cover(mask), atol=1e-9)


@MANY
@given(grids_with_boxes(("squash", "pad", "tiles", "native"), remainder=False))
def test_views_that_tile_the_image_cover_all_of_the_box(case) -> None:
    grid, (x0, y0, x1, y1) = case
    height, width = grid.size_hw
    area = max(0.0, min(x1, width) - max(x0, 0)) * max(0.0, min(y1, height) - max(y0, 0))
    cells = grid.cells_P4
    covered = grid.box_cover((x0, y0, x1, y1)) * (cells[:, 2] - cells[:, 0])
    covered *= cells[:, 3] - cells[:, 1]
    whole = grid.in_views(["image", "tile"])  # the thumbnail shows all of it a second time
    assert covered[whole].sum() == pytest.approx(area, rel=1e-4, abs=1e-4)
    if not whole.all():
        assert covered[~whole].sum() == pytest.approx(area, rel=1e-4, abs=1e-4)


@MANY
@given(grids(), st.data())
def test_touching_edges_do_not_count(grid: TokenGrid, data: st.DataObject) -> None:
    """A box that is exactly one cell, up to rounding, covers in its view that cell alone."""
    token = data.draw(st.integers(0, len(grid) - 1))
    height, width = grid.size_hw
    cells = exact_cells(grid)
    x0, y0, x1, y1 = cells[token]
    exact = (max(x0, 0), max(y0, 0), min(x1, width), min(y1, height))
    assume(exact[2] > exact[0])
    assume(exact[3] > exact[1])
    cover = grid.box_cover(tuple(float(edge) for edge in exact))
    want = [exact_cover(cell, exact, grid.size_hw) > 0 for cell in cells]
    assert (cover > 0).tolist() == want
    same_view = grid.view_P == grid.view_P[token]
    assert np.flatnonzero((cover > 0) & same_view).tolist() == [token]


@MANY
@given(sizes, st.integers(1, 2))
def test_padding_is_never_covered(size_hw: tuple[int, int], factor: int) -> None:
    grid = Preprocess(mode="pad", image_px=24).token_grid(size_hw, patch_px=4, unshuffle=factor)
    height, width = size_hw
    x0, y0, x1, y1 = grid.cells_P4.T
    beyond = (x1 <= 1e-6) | (y1 <= 1e-6) | (x0 >= width - 1e-6) | (y0 >= height - 1e-6)
    for box in [(0, 0, width, height), (-50, -50, width + 50, height + 50)]:
        cover = grid.box_cover(box)
        assert not cover[beyond].any()
        assert cover[~beyond].all()
    assert not grid.mask_cover(np.ones(size_hw, bool))[beyond].any()


def test_center_crop_leaves_out_what_lies_beyond() -> None:
    grid = Preprocess(mode="center_crop", image_px=16).token_grid((16, 48), patch_px=4)
    assert not grid.box_cover((0, 0, 16, 16)).any()
    assert not grid.box_cover((32, 0, 48, 16)).any()
    assert grid.box_cover((16, 0, 32, 16)).tolist() == [1.0] * 16
    assert np.flatnonzero(grid.box_cover((12, 0, 17, 4))).tolist() == [0]


def test_order_is_row_major_views_in_order_thumbnail_last() -> None:
    grid = Preprocess(mode="tiles", image_px=4, max_tiles=4).token_grid((8, 16), patch_px=2)
    assert [view.kind for view in grid.views] == ["tile", "tile", "thumbnail"]
    assert [tuple(cell) for cell in grid.cells_P4[:8]] == [
        *((0, 0, 4, 4), (4, 0, 8, 4), (0, 4, 4, 8), (4, 4, 8, 8)),
        *((8, 0, 12, 4), (12, 0, 16, 4), (8, 4, 12, 8), (12, 4, 16, 8)),
    ]
    assert [tuple(cell) for cell in grid.cells_P4[8:]] == [
        *((0, 0, 8, 4), (8, 0, 16, 4), (0, 4, 8, 8), (8, 4, 16, 8)),
    ]
    assert grid.view_P.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert grid.in_views(["thumbnail"]).tolist() == [False] * 8 + [True] * 4


@MANY
@given(grids())
def test_order_holds_everywhere(grid: TokenGrid) -> None:
    assert (np.diff(grid.view_P) >= 0).all()
    for index in range(len(grid.views)):
        corners = [(y, x) for x, y, _, _ in grid.cells_P4[grid.view_P == index]]
        assert corners == sorted(corners)
    kinds = [view.kind for view in grid.views]
    assert "thumbnail" not in kinds[:-1]
    assert kinds[-1] != "thumbnail" or len(kinds) > 2


@MANY
@given(grids(), st.integers(0, 2**32 - 1))
def test_unshuffle_averages_the_cells_it_merges(grid: TokenGrid, seed: int) -> None:
    """A merged token's cover is the mean of the covers of its four encoder cells."""
    assume(all(rows % 2 == 0 and columns % 2 == 0 for rows, columns in hw(grid)))
    merged = TokenGrid(grid.size_hw, tuple(merge(view) for view in grid.views))
    mask = np.random.default_rng(seed).random(grid.size_hw) < 0.5
    fine, at = grid.mask_cover(mask), 0
    means = []
    for rows, columns in hw(grid):
        block = fine[at : at + rows * columns].reshape(rows // 2, 2, columns // 2, 2)
        means.append(block.mean(axis=(1, 3)).ravel())
        at += rows * columns
    np.testing.assert_allclose(merged.mask_cover(mask), np.concatenate(means), atol=1e-9)


def hw(grid: TokenGrid) -> list[tuple[int, int]]:
    return [view.grid_hw for view in grid.views]


def merge(view: View) -> View:
    rows, columns = view.grid_hw
    return View(
        resize_hw=view.resize_hw,
        window=view.window,
        grid_hw=(rows // 2, columns // 2),
        cell_px=view.cell_px * 2,
        kind=view.kind,
        canvas=view.canvas,
    )


@pytest.mark.parametrize("mode", ["squash", "center_crop", "pad", "tiles"])
def test_uneven_grid_names_the_field_and_a_fix(mode: str) -> None:
    preprocess = Preprocess(mode=mode, image_px=12)
    with pytest.raises(ConfigError, match=r"projector\.unshuffle.*3 x 3.*unshuffled by 2") as error:
        preprocess.token_grid((20, 30), patch_px=4, unshuffle=2)
    assert "multiple of 8" in str(error.value)


def test_image_smaller_than_a_cell_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="0 x 0"):
        Preprocess(image_px=3).token_grid((20, 30), patch_px=4)


@pytest.mark.parametrize("field", ["image_px", "max_tiles", "min_pixels", "max_pixels"])
def test_settings_below_one_name_their_field(field: str) -> None:
    with pytest.raises(ConfigError, match=field):
        Preprocess(**{field: 0})


def test_bounds_the_wrong_way_round() -> None:
    with pytest.raises(ConfigError, match="min_pixels exceeds max_pixels"):
        Preprocess(min_pixels=10, max_pixels=9)


def test_mask_of_another_size_is_refused() -> None:
    grid = Preprocess(image_px=8).token_grid((5, 6), patch_px=4)
    with pytest.raises(ValueError, match=r"\(6, 5\).*\(5, 6\)"):
        grid.mask_cover(np.ones((6, 5), bool))


@MANY
@given(st.integers(1, 4000), st.integers(1, 4000), st.integers(1, 12))
def test_tile_grid_keeps_its_bound(height: int, width: int, max_tiles: int) -> None:
    rows, columns = tile_grid((height, width), max_tiles=max_tiles, tile_px=448)
    assert 1 <= rows * columns <= max_tiles
    if height == width:
        assert rows == columns


@pytest.mark.parametrize("mode", ["center_crop", "native"])
def test_thread_like_image_is_a_data_error_before_any_pixel(mode: str) -> None:
    preprocess = Preprocess(mode=mode, image_px=448)
    with pytest.raises(DataError, match=f"too long and thin for '{mode}'.*factor of 200.*1 x 201"):
        preprocess.token_grid((1, 201), patch_px=14)
    preprocess.token_grid((1, 200), patch_px=14)


@MANY
@given(st.integers(1, 4000), st.integers(1, 4000))
def test_native_size_keeps_its_bounds(height: int, width: int) -> None:
    assume(max(height, width) <= 20 * min(height, width))
    low, high = 56 * 56, 28 * 28 * 1280
    rows, columns = native_size((height, width), cell_px=28, min_pixels=low, max_pixels=high)
    assert rows % 28 == columns % 28 == 0
    assert low <= rows * columns <= high


def test_the_name_of_center_crop_in_version_0_1_0_is_read():
    assert Preprocess(mode="centre_crop") == Preprocess(mode="center_crop")


@pytest.mark.parametrize("mode", ["squash", "pad", "tiles"])
def test_settings_of_views_are_read_back_but_those_of_other_views(mode):
    preprocess = Preprocess(mode=mode, image_px=24)
    settings = preprocess.view_settings()
    assert Preprocess.from_view_settings(settings) == preprocess
    older = {key: value for key, value in settings.items() if key not in ("ties", "order")}
    if older != settings:
        with pytest.raises(ConfigError, match=f"version 0.1.0, whose mode {mode}"):
            Preprocess.from_view_settings(older)
