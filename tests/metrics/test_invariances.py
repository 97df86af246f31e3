"""What no measure of two spaces may depend on, and what two unrelated ones get."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from scipy.stats import ortho_group

from diglot.metrics.cka import cka
from diglot.metrics.cknna import cknna
from diglot.metrics.mir import layer_distance
from diglot.metrics.mutual_knn import neighbour_overlap
from tests.metrics.test_layer_similarity import SEED, pair

Measured = Callable[[np.ndarray, np.ndarray], float | None]
K = 3
SIMILARITIES: dict[str, Measured] = {
    "cka": cka,
    "unbiased cka": partial(cka, unbiased=True),
    "mutual k-NN": lambda x, y: float(neighbour_overlap(x, y, k=K).mean()),
    **{
        f"cknna {variant} {centring}": partial(cknna, k=K, variant=variant, centring=centring)
        for variant in ("rowwise", "printed")
        for centring in ("rows", "double")
    },
    # so large that the 1e-6 of its denominator is nothing
    "cknna platonic": lambda x, y: cknna(1e3 * x, 1e3 * y, k=K, variant="platonic"),
}


def same(value: float | None) -> object:
    return None if value is None else pytest.approx(value, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("name", SIMILARITIES)
@given(seed=SEED)
def test_order_scale_and_rotation_change_nothing(name: str, seed: int) -> None:
    measure, (x, y) = SIMILARITIES[name], pair(seed, n=14)
    order = np.random.default_rng(seed).permutation(14)
    turned = x @ ortho_group.rvs(5, random_state=seed % 1000)
    want = same(measure(x, y))
    assert measure(x[order], y[order]) == want
    assert measure(7 * x, y / 3) == want
    assert measure(turned, y) == want


@pytest.mark.parametrize("name", SIMILARITIES)
@given(seed=SEED)
def test_of_a_rotated_copy_all_are_one(name: str, seed: int) -> None:
    x, _ = pair(seed, n=14)
    got = SIMILARITIES[name](x, 2 * x @ ortho_group.rvs(5, random_state=seed % 1000))
    if got is None:  # masked kernels may have no positive scale
        assert name == "cknna platonic"
        return
    assert got == pytest.approx(1.0)


@pytest.mark.parametrize("centring", ["rows", "double"])
@pytest.mark.parametrize("variant", ["rowwise", "printed", "platonic"])
def test_cknna_of_independent_noise_is_near_the_share_of_common_neighbours(variant, centring):
    """Of k neighbours k / (n - 1) are common by chance; their kernels are nearly alike in size."""
    rng, n, k = np.random.default_rng(0), 200, 10
    drawn = [rng.normal(size=(2, n, 256)) for _ in range(8)]
    got = [cknna(x, y, k=k, variant=variant, centring=centring) for x, y in drawn]
    assert np.mean(np.array(got, float)) == pytest.approx(k / (n - 1), abs=0.015)


@given(SEED)
def test_mir_does_not_depend_on_the_order_of_tokens_or_their_common_scale(seed: int) -> None:
    x, y = pair(seed, n=30)
    want = layer_distance(x, y[:, :5])
    mixed = np.random.default_rng(seed).permutation(30)
    assert layer_distance(9 * x[mixed], 9 * y[:, :5]) == pytest.approx(want, rel=1e-6)
