"""The platonic options against that code's known steps, written out as loops over entries.

Huh et al. 2024, github.com/minyoungg/platonic-rep, `metrics.py`: features are clamped at the mean
of the samples' 95th percentiles and brought to length 1; CKNNA takes the k nearest by inner product
without the sample itself, masks both kernels by the common ones, and takes the unbiased HSIC of
Song et al. 2012, Eq. 5. That code adds 1e-6 to the denominators; so does our CKNNA, and our CKA,
whose sums are far larger, does not.
"""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diglot.metrics.cka import cka
from diglot.metrics.cknna import cknna
from diglot.metrics.kernels import prepare_features
from diglot.metrics.mutual_knn import neighbour_overlap
from tests.metrics.test_layer_similarity import SEED, pair


def slow_percentile(values, share):
    """Between the two nearest ranks by straight line."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def slow_prepare(x):
    limit = sum(slow_percentile([abs(v) for v in row], 0.95) for row in x) / len(x)
    clamped = [[min(limit, max(-limit, v)) for v in row] for row in x]
    return np.array([[v / math.sqrt(sum(u * u for u in row)) for v in row] for row in clamped])


def slow_near(kernel, k):
    """Of each sample the k others with the largest products."""
    n = len(kernel)
    return [
        set(sorted((j for j in range(n) if j != i), key=lambda j, i=i: -kernel[i][j])[:k])
        for i in range(n)
    ]


def slow_hsic(one, other):
    """Eq. 5 of Song et al., entry by entry; diagonals count as zero."""
    n, off = len(one), [(i, j) for i in range(len(one)) for j in range(len(one)) if i != j]
    trace = sum(one[i][j] * other[j][i] for i, j in off)
    sums = sum(one[i][j] for i, j in off) * sum(other[i][j] for i, j in off)
    chains = sum(one[i][j] * other[j][m] for i, j in off for m in range(n) if m != j)
    return (trace + sums / ((n - 1) * (n - 2)) - 2 * chains / (n - 2)) / (n * (n - 3))


def slow_normalise(between, own, other, added=0.0):
    """Not measured where a side's own is not positive; that code gives NaN, or worse a number."""
    return between / (math.sqrt(own * other) + added) if own > 0 and other > 0 else None


def slow_cknna(x, y, k):
    kernels = (x @ x.T).tolist(), (y @ y.T).tolist()

    def similarity(a, b):
        near, near_2, n = slow_near(a, k), slow_near(b, k), len(a)
        common = [[j in near[i] and j in near_2[i] for j in range(n)] for i in range(n)]
        masked = [
            [[kernel[i][j] * common[i][j] for j in range(n)] for i in range(n)] for kernel in (a, b)
        ]
        return slow_hsic(*masked)

    (a, b), own = kernels, [similarity(kernel, kernel) for kernel in kernels]
    return slow_normalise(similarity(a, b), *own, added=1e-6)


@given(SEED)
def test_features_are_clamped_and_of_length_one(seed):
    x, _ = pair(seed, n=6)
    x[0, 0] *= 50
    assert prepare_features(x, "platonic") == pytest.approx(slow_prepare(x))


def test_a_huge_value_does_not_rule_its_row():
    x = np.random.default_rng(0).normal(size=(6, 40))
    x[0, 0] = 1e6
    assert abs(prepare_features(x, "platonic")).max() < 0.5
    assert (prepare_features(x, "none") == x).all()
    with pytest.raises(ValueError, match="finite"):
        prepare_features(np.array([[np.nan]]), "none")


@given(SEED, st.integers(2, 8))
def test_cknna(seed, k):
    x, y = pair(seed)
    want = slow_cknna(slow_prepare(x), slow_prepare(y), k)
    got = cknna(*(prepare_features(side, "platonic") for side in (x, y)), k=k, variant="platonic")
    assert got == (want if want is None else pytest.approx(want, abs=1e-9))


@given(SEED)
def test_unbiased_cka(seed):
    x, y = (slow_prepare(side) for side in pair(seed, n=9))
    kernels = (x @ x.T).tolist(), (y @ y.T).tolist()
    between = slow_hsic(*kernels)
    want = slow_normalise(between, *(slow_hsic(kernel, kernel) for kernel in kernels))
    got = cka(x, y, unbiased=True)
    assert got == (want if want is None else pytest.approx(want, abs=1e-9))


@given(SEED, st.integers(1, 8))
def test_mutual_knn(seed, k):
    x, y = (slow_prepare(side) for side in pair(seed))
    near, other = (slow_near((side @ side.T).tolist(), k) for side in (x, y))
    shared = [len(a & b) / k for a, b in zip(near, other, strict=True)]
    assert neighbour_overlap(x, y, k=k).tolist() == pytest.approx(shared)
