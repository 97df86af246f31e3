"""Labels brought from grid to grid, against counting the sub-pixels that token and patch share."""

import math
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diglot.core.errors import DataError
from diglot.core.geometry import TokenGrid, View
from diglot.core.patch_labels import PatchLabels, labels_on
from diglot.core.preprocess import Preprocess

WORDS = ("ant", "bee", "cat", "dog", "elk", "fox", "gnu")
MANY = settings(max_examples=40, derandomize=True, deadline=None)


def grid_of(size_hw: tuple[int, int], patch_px: int, **settings: object) -> TokenGrid:
    return Preprocess(**settings).token_grid(size_hw, patch_px=patch_px)  # type: ignore[arg-type]


def random_labels(grid: TokenGrid, seed: int, *, n: int = 3) -> PatchLabels:
    rng = np.random.default_rng(seed)
    words, scores = [], []
    for _ in range(len(grid)):
        count = int(rng.integers(0, n + 1))
        words.append(tuple(rng.permutation(WORDS)[:count].tolist()))
        scores.append(tuple(sorted(rng.uniform(0.1, 1, count).tolist(), reverse=True)))
    return PatchLabels(cells_M4=grid.cells_P4, words=tuple(words), scores=tuple(scores))


def pixels(view: View, size: int, axis: int, index: int, fine: int) -> set[int]:
    """The sub-pixels, `fine` of them along the image's side, in the index-th row or column."""
    start, extent = canvas_side(view, size, axis)
    unit = fine // size  # sub-pixels of one pixel
    step = unit * extent * view.cell_px / view.resize_hw[axis]
    origin = unit * (start + extent * view.window[1 - axis] / view.resize_hw[axis])
    low, high = round(origin + index * step), round(origin + (index + 1) * step)
    return {p for p in range(low, high) if 0 <= p < fine}


def canvas_side(view: View, size: int, axis: int) -> tuple[int, int]:
    """Where what is resized begins along the image's side, and how long it is, in its pixels."""
    left, top, right, bottom = view.canvas or (0, 0, size, size)
    return (left, right - left) if axis else (top, bottom - top)


def counted(grid: TokenGrid, source: TokenGrid, labels: PatchLabels) -> list[dict[str, float]]:
    """Every (token, word) score, by counting rows and columns of sub-pixels one by one."""
    views = (*grid.views, *source.views)
    fines = [
        size * math.lcm(*(v.resize_hw[axis] for v in views))
        for axis, size in enumerate(grid.size_hw)
    ]

    def cells(of: TokenGrid) -> list[tuple[set[int], set[int]]]:
        return [
            (
                pixels(view, grid.size_hw[0], 0, row, fines[0]),
                pixels(view, grid.size_hw[1], 1, column, fines[1]),
            )
            for view in of.views
            for row in range(view.grid_hw[0])
            for column in range(view.grid_hw[1])
        ]

    found = []
    patches = cells(source)
    for rows, columns in cells(grid):
        scores: dict[str, float] = defaultdict(float)
        for (patch_rows, patch_columns), words, values in zip(
            patches, labels.words, labels.scores, strict=True
        ):
            shared = len(rows & patch_rows) * len(columns & patch_columns)
            for word, value in zip(words, values, strict=True):
                if shared:
                    scores[word] += shared / (len(rows) * len(columns)) * value
        found.append(dict(scores))
    return found


@st.composite
def grid_pairs(draw: st.DrawFn) -> tuple[TokenGrid, TokenGrid]:
    size = draw(st.tuples(st.integers(5, 16), st.integers(5, 16)))

    def one() -> TokenGrid:
        return grid_of(
            size,
            draw(st.sampled_from([2, 4])),
            mode=draw(st.sampled_from(["squash", "center_crop", "pad", "tiles", "native"])),
            image_px=8,
            min_pixels=16,
            max_pixels=144,
        )

    return one(), one()


@MANY
@given(grid_pairs(), st.integers(0, 1000))
def test_scores_are_shared_area(pair: tuple[TokenGrid, TokenGrid], seed: int) -> None:
    grid, source = pair
    if np.array_equal(grid.cells_P4, source.cells_P4):
        return  # the case of the next test
    labels = random_labels(source, seed)
    found = labels_on(grid, labels, keep=99)
    for token, expected in zip(found, counted(grid, source, labels), strict=True):
        assert dict(token) == pytest.approx(expected)


@MANY
@given(grid_pairs(), st.integers(0, 1000), st.integers(1, 4))
def test_best_first_ties_by_word(pair: tuple[TokenGrid, TokenGrid], seed: int, keep: int) -> None:
    grid, source = pair
    labels = random_labels(source, seed)
    everything, kept = (labels_on(grid, labels, keep=k) for k in (99, keep))
    for whole, few in zip(everything, kept, strict=True):
        assert few == whole[:keep]
        assert [s for _, s in whole] == sorted((s for _, s in whole), reverse=True)
    even = PatchLabels(
        cells_M4=source.cells_P4,
        words=(("bee", "ant"),) * len(source),
        scores=((0.5, 0.5),) * len(source),
    )
    if not np.array_equal(grid.cells_P4, source.cells_P4):
        assert all(
            [w for w, _ in row] in (["ant", "bee"], []) for row in labels_on(grid, even, keep=2)
        )


@MANY
@given(grid_pairs(), st.integers(0, 1000))
def test_identity_where_the_grids_agree(pair: tuple[TokenGrid, TokenGrid], seed: int) -> None:
    grid, _ = pair
    labels = random_labels(grid, seed)
    found = labels_on(grid, labels, keep=3)
    on_image = grid.box_cover((0, 0, grid.size_hw[1], grid.size_hw[0])) > 0
    for token, words, scores, there in zip(
        found, labels.words, labels.scores, on_image, strict=True
    ):
        assert token == (tuple(zip(words, scores, strict=True)) if there else ())


def test_clip_crop_16_to_squash_7() -> None:
    """A 16 x 16 centre crop of a wide image says nothing about the sides that it cut off."""
    size = (56, 112)
    source = grid_of(size, 14, mode="center_crop", image_px=224)
    grid = grid_of(size, 64, mode="squash", image_px=448)
    labels = PatchLabels(cells_M4=source.cells_P4, words=(("dog",),) * 256, scores=((0.25,),) * 256)
    found = np.array([dict(row).get("dog", 0.0) for row in labels_on(grid, labels, keep=1)])
    inside = grid.box_cover((28, 0, 84, 56))  # the crop, in pixels of the image
    np.testing.assert_allclose(found, inside * 0.25, atol=1e-12)
    assert (inside == 0).any()
    assert ((inside > 0) & (inside < 1)).any()


def test_tokens_on_padding_have_no_labels() -> None:
    grid = grid_of((8, 32), 8, mode="pad", image_px=32)
    labels = random_labels(grid_of((8, 32), 4, image_px=32), 0)
    found = labels_on(grid, labels, keep=3)
    on_image = grid.box_cover((0, 0, 32, 8)) > 0
    assert not any(row for row, there in zip(found, on_image, strict=True) if not there)
    assert any(found)


def test_no_labels_at_all() -> None:
    source, grid = (grid_of((8, 8), px, image_px=8) for px in (2, 4))
    empty = PatchLabels(cells_M4=source.cells_P4, words=((),) * 16, scores=((),) * 16)
    assert labels_on(grid, empty, keep=3) == [()] * 4


@pytest.mark.parametrize("score", [0.0, -0.1, float("nan"), float("inf")])
def test_scores_must_be_above_zero(score: float) -> None:
    with pytest.raises(DataError, match="not above 0"):
        PatchLabels(cells_M4=np.zeros((1, 4)), words=(("dog",),), scores=((score,),))


def test_shapes_must_agree() -> None:
    with pytest.raises(DataError, match="do not belong together"):
        PatchLabels(cells_M4=np.zeros((2, 4)), words=(("dog",),), scores=((0.1,),))
    with pytest.raises(DataError, match="do not belong together"):
        PatchLabels(cells_M4=np.zeros((1, 4)), words=(("dog",),), scores=((),))
