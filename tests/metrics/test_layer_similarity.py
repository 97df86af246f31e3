"""CKA, CKNNA and mutual k-NN against loops from the papers, and what is known of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ortho_group

from diglot.metrics.cka import cka
from diglot.metrics.cknna import cknna
from diglot.metrics.kernels import unbiased_hsic
from diglot.metrics.mutual_knn import neighbour_overlap

SEED = st.integers(0, 2**32 - 1)


def pair(seed, n=12):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 5)) + 0.3
    return x, x @ rng.normal(size=(5, 7)) + rng.normal(size=(n, 7))


def slow_kernel(x):
    """MMCS Eq. 6, entry by entry."""
    n = len(x)
    return [
        [x[i] @ x[j] - sum(x[i] @ x[m] for m in range(n)) / n for j in range(n)] for i in range(n)
    ]


def slow_hsic(x, y):
    """MMCS Eq. 7: the trace of the product."""
    k, m, n = slow_kernel(x), slow_kernel(y), len(x)
    return sum(k[i][j] * m[j][i] for i in range(n) for j in range(n)) / (n - 1) ** 2


def slow_near(x, k):
    n = len(x)
    return [
        set(sorted((j for j in range(n) if j != i), key=lambda j, i=i: -(x[i] @ x[j]))[:k])
        for i in range(n)
    ]


def slow_align(x, y, k, printed):
    """MMCS Eq. 9 and 10."""
    near, other, n = slow_near(x, k), slow_near(y, k), len(x)
    kernel, kernel_2 = slow_kernel(x), slow_kernel(y)
    total = 0.0
    for i in range(n):
        for j in range(n):
            also = i in other[j] if printed else j in other[i]
            if j in near[i] and also and i != j:
                total += kernel[i][j] * kernel_2[i][j]
    return total


@given(SEED)
def test_cka_equals_the_definition(seed):
    x, y = pair(seed)
    slow = slow_hsic(x, y) / (slow_hsic(x, x) * slow_hsic(y, y)) ** 0.5
    assert cka(x, y) == pytest.approx(slow)
    assert cka(x, y) == pytest.approx(cka(y, x))
    assert 0 <= slow <= 1


@given(SEED)
def test_cka_of_a_rotated_scaled_shifted_copy_is_one(seed):
    x, _ = pair(seed)
    rotation = ortho_group.rvs(5, random_state=seed % 1000)
    for unbiased in (False, True):
        assert cka(x, 3 * x @ rotation + 2, unbiased=unbiased) == pytest.approx(1.0)


def test_cka_of_independent_noise_is_near_its_expectation():
    """Biased: about sqrt(d1 d2) / n for wide noise; unbiased: zero."""
    rng = np.random.default_rng(0)
    drawn = [(rng.normal(size=(200, 40)), rng.normal(size=(200, 40))) for _ in range(20)]
    assert np.mean(np.array([cka(x, y, unbiased=True) for x, y in drawn], float)) == pytest.approx(
        0, abs=0.02
    )
    assert np.mean(np.array([cka(x, y) for x, y in drawn], float)) == pytest.approx(
        40 / 240, abs=0.02
    )


@given(SEED)
def test_unbiased_hsic_equals_its_sum_over_distinct_indices(seed):
    """Song et al. 2012: the U-statistic over all ordered choices of four different samples."""
    x, y = pair(seed, n=5)
    k, m = x @ x.T, y @ y.T
    total, count = 0.0, 0
    for i in range(5):
        for j in {*range(5)} - {i}:
            for q in {*range(5)} - {i, j}:
                for r in {*range(5)} - {i, j, q}:
                    total += k[i, j] * (m[i, j] + m[q, r] - 2 * m[i, q])
                    count += 1
    assert unbiased_hsic(k, m) == pytest.approx(total / count)


def test_what_has_no_scale_is_not_measured():
    constant = np.ones((8, 3))
    assert cka(constant, np.eye(8)) is None
    assert cka(np.eye(3), np.eye(3), unbiased=True) is None
    assert cknna(np.zeros((8, 3)), np.eye(8), k=3) is None
    rng = np.random.default_rng(0)
    negative = [
        (x, y)
        for x, y in ((rng.normal(size=(4, 3)), rng.normal(size=(4, 3))) for _ in range(200))
        if unbiased_hsic(x @ x.T, x @ x.T) <= 0
    ]
    assert all(cka(x, y, unbiased=True) is None for x, y in negative)


@given(SEED, st.integers(1, 6), st.booleans())
def test_cknna_equals_the_definition(seed, k, printed):
    x, y = pair(seed)
    own, other = slow_align(x, x, k, printed), slow_align(y, y, k, printed)
    slow = slow_align(x, y, k, printed) / (own * other) ** 0.5 if own * other > 0 else None
    got = cknna(x, y, k=k, variant="printed" if printed else "rowwise")
    assert got == (slow if slow is None else pytest.approx(slow))


@pytest.mark.parametrize("variant", ["rowwise", "printed", "platonic"])
def test_cknna_of_a_rotation_is_one_and_order_does_not_matter(variant):
    x, y = pair(3, n=40)
    rotation = ortho_group.rvs(5, random_state=0)
    assert cknna(x, 2 * x @ rotation, variant=variant) == pytest.approx(1.0, abs=1e-5)
    order = np.random.default_rng(1).permutation(40)
    assert cknna(x, y, variant=variant) == pytest.approx(cknna(x[order], y[order], variant=variant))
    with pytest.raises(ValueError, match="no variant"):
        cknna(x, y, variant="other")  # type: ignore[arg-type]


def test_centring_is_an_option():
    x, y = pair(3, n=40)
    assert cknna(x, y, centring="double") != pytest.approx(cknna(x, y, centring="rows"))


@given(SEED, st.integers(1, 8))
def test_mutual_knn_equals_the_definition(seed, k):
    x, y = pair(seed)
    unit = [side / np.linalg.norm(side, axis=1, keepdims=True) for side in (x, y)]
    near, other = (slow_near(side, k) for side in unit)
    slow = [len(a & b) / k for a, b in zip(near, other, strict=True)]
    assert neighbour_overlap(x, y, k=k).tolist() == pytest.approx(slow)
    assert (neighbour_overlap(x, 3 * x, k=k) == 1).all()


def test_mutual_knn_of_independent_noise_is_chance_and_too_few_samples_are_refused():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(300, 8)), rng.normal(size=(300, 8))
    assert neighbour_overlap(x, y).mean() == pytest.approx(10 / 299, abs=0.01)
    with pytest.raises(ValueError, match="between 1 and 9"):
        neighbour_overlap(x[:10], y[:10])
