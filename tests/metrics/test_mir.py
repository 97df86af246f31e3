import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import sqrtm

from diglot.metrics.mir import (
    frechet_distance,
    integration_rate,
    layer_distance,
    replace_outliers,
    token_products,
)


def slow_frechet(x, y):
    one, other = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = np.real(np.asarray(sqrtm(one @ other)))
    gap = x.mean(axis=0) - y.mean(axis=0)
    return gap @ gap + np.trace(one + other - 2 * root)


@given(st.integers(0, 2**32 - 1), st.integers(8, 20))
def test_frechet_equals_the_matrix_root(seed, count):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(count, 4)), rng.normal(size=(15, 4)) @ rng.normal(size=(4, 4)) + 1
    assert frechet_distance(x, y) == pytest.approx(slow_frechet(x, y), rel=1e-6)


def test_fewer_tokens_than_channels_and_the_same_set():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(6, 30))
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(x, x + 2) == pytest.approx(30 * 4)


def test_outliers_become_the_median_and_text_sets_the_scale():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100, 3))
    x[7] = 1000.0
    mended = replace_outliers(x)
    assert mended[7].tolist() == np.median(x, axis=0).tolist()
    assert (np.delete(mended, 7, 0) == np.delete(x, 7, 0)).all()
    text = rng.normal(size=(50, 3))
    assert layer_distance(5 * x, 5 * text) == pytest.approx(layer_distance(x, text))
    assert layer_distance(x, np.zeros((5, 3))) is None
    assert layer_distance(x[:1], text) is None
    with pytest.raises(ValueError, match="finite"):
        layer_distance(x * np.nan, text)


@given(st.integers(0, 2**32 - 1), st.integers(3, 12))
def test_products_of_tokens_give_the_distance_of_any_part_of_them(seed, width):
    """More tokens than channels and fewer; without outliers, which are those of the whole set."""
    rng = np.random.default_rng(seed)
    x, y = (
        rng.uniform(1, 2, (9, width)),
        rng.uniform(0, 2, (7, width)) @ rng.normal(size=(width,) * 2),
    )
    products, kept, other = token_products(x, y), rng.random(9) < 0.7, rng.random(7) < 0.7
    whole = products.distance_of(np.ones(9, bool), np.ones(7, bool))
    assert whole == pytest.approx(layer_distance(x, y), rel=1e-6, abs=1e-9)
    want = layer_distance(x[kept], y[other])
    got = products.distance_of(kept, other)
    assert got == (want if want is None else pytest.approx(want, rel=1e-6, abs=1e-9))


def test_products_are_of_mended_tokens_and_the_scale_of_all():
    rng = np.random.default_rng(0)
    x, text = rng.normal(size=(100, 3)), rng.normal(size=(50, 3))
    x[7] = text[3] = 1000.0
    got = token_products(x, text).distance_of(np.ones(100, bool), np.ones(50, bool))
    assert got == pytest.approx(layer_distance(x, text), rel=1e-6)
    assert token_products(x, 0 * text).distance_of(np.ones(100, bool), np.ones(50, bool)) is None
    assert token_products(x[:1], text).distance_of(np.ones(1, bool), np.ones(50, bool)) is None


def test_rate_is_the_log_of_the_sum():
    assert integration_rate([60.0, None, 40.0]) == pytest.approx(2.0)
    assert integration_rate([]) is None
    assert integration_rate([0.0]) is None


def slow_layer(visual, text):
    """One layer by the definition: scale by the text, replace outliers, Frechet distance."""
    scale = sum(np.linalg.norm(token) for token in text) / len(text)
    sides = []
    for side in (visual, text):
        tokens = [token / scale for token in side]
        lengths = [float(np.linalg.norm(token)) for token in tokens]
        mean = sum(lengths) / len(lengths)
        spread = (sum((v - mean) ** 2 for v in lengths) / (len(lengths) - 1)) ** 0.5
        median = np.array(
            [sorted(channel)[len(tokens) // 2] for channel in zip(*tokens, strict=True)]
        )
        far = [abs(length - mean) > 3 * spread for length in lengths]
        sides.append(np.array([median if out else t for t, out in zip(tokens, far, strict=True)]))
    return slow_frechet(*sides)


@given(st.integers(0, 2**32 - 1))
def test_the_whole_rate_equals_the_definition(seed):
    rng = np.random.default_rng(seed)
    layers = [(rng.normal(size=(41, 3)) + 1, rng.normal(size=(33, 3))) for _ in range(3)]
    layers[1][0][5] *= 40  # an outlier
    want = np.log10(sum(slow_layer(*layer) for layer in layers))
    got = integration_rate([layer_distance(*layer) for layer in layers])
    assert got == pytest.approx(want, rel=1e-6)
