import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from diglot.models.trainable import Trainable, set_trainable
from diglot.train.config import OptimConfig
from diglot.train.optim import lr_at, make_optimizer
from tests.tiny import tiny_vlm


def test_warm_up_then_cosine():
    config = OptimConfig(lr=2.0, warmup=0.2)
    rates = [lr_at(step, 20, config) for step in range(20)]
    assert rates[:4] == [0.5, 1.0, 1.5, 2.0]
    assert rates[4] == 2.0
    assert rates[12] == pytest.approx(1.0)  # half of the cosine
    assert rates[19] == pytest.approx(2.0 * 0.5 * (1 + math.cos(math.pi * 15 / 16)))
    assert lr_at(20, 20, config) == pytest.approx(0.0)


@given(st.integers(1, 60), st.floats(0, 1))
def test_rates_rise_to_the_top_then_fall_and_are_never_zero(steps, warmup):
    config = OptimConfig(lr=1.0, warmup=warmup)
    rates = [lr_at(step, steps, config) for step in range(steps)]
    top = rates.index(max(rates))
    assert max(rates) == pytest.approx(1.0)
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert min(rates) > 0


def test_the_optimizer_holds_only_what_learns():
    vlm = tiny_vlm()
    set_trainable(vlm, Trainable())
    config = OptimConfig(lr=0.1, weight_decay=0.2, beta1=0.5, beta2=0.6, eps=1e-3)
    optimizer = make_optimizer(vlm, config)
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert held == {id(p) for p in vlm.projector.parameters()}
    assert optimizer.defaults["betas"] == (0.5, 0.6)
    assert optimizer.defaults["weight_decay"] == 0.2
    assert optimizer.defaults["eps"] == 1e-3
    assert isinstance(optimizer, torch.optim.AdamW)
