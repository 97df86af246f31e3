"""SEA's draws: each label as often as its score says, one token a window, all by the generator."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from diglot.core.geometry import TokenGrid, View
from diglot.core.patch_labels import Labels
from diglot.objectives._patch_sampling import draw_pairs, token_windows
from tests.objectives.sea_naive import shares, window_of

UNLIKELY = 1e-3


def grid_of(*grid_hws: tuple[int, int]) -> TokenGrid:
    views = []
    for rows, columns in grid_hws:
        height, width = rows * 8, columns * 8
        views.append(
            View(
                resize_hw=(height, width),
                window=(0, 0, width, height),
                grid_hw=(rows, columns),
                cell_px=8,
            )
        )
    return TokenGrid((64, 64), tuple(views))


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


sides = st.integers(1, 7)
hws = st.lists(st.tuples(sides, sides), min_size=1, max_size=3)


@given(hws, st.integers(1, 4))
@settings(max_examples=50, deadline=None)
def test_windows_are_those_of_each_view(grid_hws, side):
    numbers = token_windows(grid_of(*grid_hws), side).tolist()
    expected = window_of(grid_hws, side)
    assert len(numbers) == len(expected)
    assert len(set(zip(numbers, expected, strict=True))) == len(set(expected)) == len(set(numbers))


@given(hws, st.integers(1, 4), st.integers(0, 2**31), st.floats(0, 1))
@settings(max_examples=50, deadline=None)
def test_one_labelled_token_of_every_window_with_labels(grid_hws, side, seed, density):
    grid = grid_of(*grid_hws)
    has = np.random.default_rng(seed).random(len(grid)) < density
    labels: list[Labels] = [((f"word {p}", 0.5),) if has[p] else () for p in range(len(grid))]
    drawn = draw_pairs(labels, grid, window=side, rng=rng(seed))
    window = window_of(grid_hws, side)
    assert Counter(window[d.visual] for d in drawn) == Counter(
        {window[p] for p in range(len(grid)) if has[p]}
    )
    assert all(d.label == f"word {d.visual}" for d in drawn)
    assert len({d.key for d in drawn}) == len(drawn)
    assert drawn == draw_pairs(labels, grid, window=side, rng=rng(seed))


@pytest.mark.parametrize("scores", [(0.3, 0.2, 0.1), (1e-4, 3e-4), (5.0,) * 10])
def test_labels_are_drawn_by_their_share_of_the_scores(scores):
    scored: Labels = tuple((f"word {i}", s) for i, s in enumerate(scores))
    drawn = draw_pairs([scored] * 3600, grid_of((60, 60)), window=1, rng=rng())
    counts = Counter(d.label for d in drawn)
    expected = [3600 * p for p in shares(scores)]
    assert chisquare([counts[word] for word, _ in scored], expected).pvalue > UNLIKELY


def test_every_labelled_token_of_a_window_is_as_likely():
    labels: list[Labels] = [(), (("a", 9.0),), (("b", 0.1), ("c", 0.1)), (("d", 1.0),)] * 900
    grid = grid_of((1, 3600))
    drawn = draw_pairs(labels, grid, window=4, rng=rng())
    counts = Counter(d.visual % 4 for d in drawn)
    assert set(counts) == {1, 2, 3}
    assert chisquare([counts[i] for i in (1, 2, 3)]).pvalue > UNLIKELY


def test_keys_favour_no_window():
    """Else a label's pair would come rather from one place than from another."""
    labels: list[Labels] = [(("a", 1.0),)] * 64
    firsts = Counter(
        min(
            draw_pairs(labels, grid_of((8, 8)), window=4, rng=rng(seed)), key=lambda d: d.key
        ).visual
        // 4
        % 2
        for seed in range(600)
    )
    assert chisquare([firsts[0], firsts[1]]).pvalue > UNLIKELY


def test_no_labels_no_pairs():
    assert draw_pairs([()] * 6, grid_of((2, 3)), window=2, rng=rng()) == []
