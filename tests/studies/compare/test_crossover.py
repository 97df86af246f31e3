"""Where rows meet, against cases worked out by hand."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diglot.studies.compare.crossover import NEVER, find_crossover, find_crossovers, mean_scores

CAPTION = {64: 0.30, 256: 0.40, 1024: 0.60}


def test_half_way_between_two_sizes_on_the_logarithm():
    # 0.6 lies half way from 0.5 to 0.7, so half way from 64 to 256: at 128; 1024 / 128 = 8
    met = find_crossover({64: 0.5, 256: 0.7, 1024: 0.9}, CAPTION, higher_is_better=True)
    assert met.samples == pytest.approx(128)
    assert met.ratio == pytest.approx(8)
    assert not met.at_most


def test_exactly_at_a_size():
    met = find_crossover({64: 0.1, 256: 0.6, 1024: 0.6}, CAPTION, higher_is_better=True)
    assert met.samples == pytest.approx(256)
    assert met.ratio == pytest.approx(4)


def test_better_from_the_start_needs_at_most_the_smallest_size():
    met = find_crossover({64: 0.61, 256: 0.5}, CAPTION, higher_is_better=True)
    assert (met.samples, met.ratio, met.at_most) == (64, 16, True)


def test_never_within_the_sizes_run():
    assert find_crossover({64: 0.3, 1024: 0.59}, CAPTION, higher_is_better=True) == NEVER
    assert find_crossover({}, CAPTION, higher_is_better=True) == NEVER
    assert find_crossover(CAPTION, {}, higher_is_better=True) == NEVER


def test_the_first_crossing_counts_where_scores_fall_again():
    met = find_crossover({64: 0.2, 128: 0.8, 256: 0.1, 512: 0.9}, {512: 0.8}, higher_is_better=True)
    assert met.samples == pytest.approx(128)


def test_lower_may_be_better():
    # from 2.0 to 1.0 over 100 .. 400: 1.5 is half way, at 200
    met = find_crossover({100: 2.0, 400: 1.0}, {400: 1.5}, higher_is_better=False)
    assert met.samples == pytest.approx(200)
    assert find_crossover({100: 2.0, 400: 1.6}, {400: 1.5}, higher_is_better=False) == NEVER


def test_a_row_crosses_itself_at_its_largest_size_or_before():
    assert find_crossover(CAPTION, CAPTION, higher_is_better=True).ratio == pytest.approx(1)


@given(
    st.dictionaries(st.integers(1, 10**6), st.floats(-5, 5), min_size=1, max_size=6),
    st.dictionaries(st.integers(1, 10**6), st.floats(-5, 5), min_size=1, max_size=6),
    st.booleans(),
)
def test_a_crossover_lies_within_the_sizes_and_no_size_before_it_is_as_good(one, other, higher):
    met = find_crossover(one, other, higher_is_better=higher)
    goal, sign = other[max(other)], 1 if higher else -1
    as_good = [size for size, score in one.items() if sign * score >= sign * goal]
    assert (met.samples is None) == (not as_good)
    if met.samples is not None:
        assert min(one) <= met.samples <= min(as_good) * (1 + 1e-9)
        assert all(size >= met.samples * (1 - 1e-9) for size in as_good)


def test_over_seeds_the_means_cross_and_each_seed_alone():
    mmcs = {0: {64: 0.5, 256: 0.7}, 1: {64: 0.7, 256: 0.9}}
    caption = {0: {64: 0.2, 256: 0.6}, 1: {64: 0.3, 256: 0.8}}
    met = find_crossovers(mmcs, caption, higher_is_better=True)
    # means 0.6 .. 0.8 against 0.7: half way; seed 0: 0.6 between 0.5 and 0.7; seed 1: 0.8
    assert met.mean.ratio == pytest.approx(2)
    assert [met.by_seed[s].ratio for s in (0, 1)] == pytest.approx([2, 2])
    assert met.spread == (pytest.approx(2), pytest.approx(2))


def test_a_seed_that_never_crosses_leaves_the_lower_end_open():
    mmcs = {0: {64: 0.5, 256: 0.7}, 1: {64: 0.1, 256: 0.2}}
    caption = {0: {256: 0.6}, 1: {256: 0.6}}
    met = find_crossovers(mmcs, caption, higher_is_better=True)
    assert met.mean == NEVER
    assert met.spread == (None, pytest.approx(2))


def test_a_seed_still_without_the_largest_size_has_no_crossover_of_its_own():
    mmcs = {0: {64: 0.5, 256: 0.7}, 1: {64: 0.9}}
    caption = {0: {64: 0.2, 256: 0.6}, 1: {64: 0.3}}
    met = find_crossovers(mmcs, caption, higher_is_better=True)
    assert list(met.by_seed) == [0]
    assert met.mean.samples == 64  # mean 0.7 against 0.6
    assert math.isclose(met.mean.ratio or 0, 4)


def test_means_are_over_the_seeds_that_are_there():
    assert mean_scores({0: {8: 1.0, 16: 3.0}, 1: {8: 2.0}}) == {8: 1.5, 16: 3.0}
    assert mean_scores({}) == {}
