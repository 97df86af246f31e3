import numpy as np
import pytest

from diglot.core.result import NOT_MEASURED
from diglot.metrics.nll import nll_interval


def test_is_all_nats_over_all_tokens_not_the_mean_of_the_texts():
    got = nll_interval([-2.0, -30.0], [2, 10], [0, 1], generator=np.random.default_rng(0))
    assert got.value == pytest.approx(32 / 12)
    assert got.n == 2
    assert 1.0 <= got.low <= got.high <= 3.0


def test_a_certain_text_costs_nothing_and_no_text_is_not_measured():
    generator = np.random.default_rng(0)
    assert nll_interval([0.0], [3], [0], generator=generator).value == 0.0
    assert nll_interval([], [], [], generator=generator) == NOT_MEASURED
