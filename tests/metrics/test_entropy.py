import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ortho_group

from diglot.metrics.entropy import moment_entropy, second_moment, von_neumann_entropy


def slow_entropy(vectors):
    """Definition 3.1, one outer product after another."""
    sigma = sum(np.outer(v, v) for v in vectors) / len(vectors)
    values = np.linalg.eigvals(sigma / np.trace(sigma)).real
    return -sum(v * np.log(v) for v in values if v > 1e-15)


@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(2, 8))
def test_equals_the_definition_and_does_not_depend_on_order_scale_or_rotation(seed, count, width):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(count, width)) + rng.normal(size=width)
    entropy = von_neumann_entropy(vectors)
    assert entropy == pytest.approx(slow_entropy(vectors), abs=1e-9)
    assert -1e-12 <= entropy <= np.log(min(count, width)) + 1e-12
    rotation = ortho_group.rvs(width, random_state=seed % 1000)
    assert von_neumann_entropy(3 * rng.permutation(vectors) @ rotation) == pytest.approx(
        entropy, abs=1e-9
    )
    parts = second_moment(vectors[:1]) + second_moment(vectors[1:])
    assert moment_entropy(parts) == pytest.approx(entropy, abs=1e-9)


def test_extremes():
    assert von_neumann_entropy(np.tile([1.0, 2.0, 3.0], (7, 1))) == pytest.approx(0.0, abs=1e-12)
    assert von_neumann_entropy(np.eye(5) * 3) == pytest.approx(np.log(5))
    assert von_neumann_entropy(np.zeros((4, 3))) is None
    assert von_neumann_entropy(np.zeros((0, 3))) is None
    with pytest.raises(ValueError, match="finite"):
        von_neumann_entropy(np.array([[np.inf, 1.0]]))
