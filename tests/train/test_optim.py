import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from diglot.core.errors import ConfigError
from diglot.models.trainable import Trainable, set_trainable
from diglot.train.config import OptimConfig
from diglot.train.optim import lr_at, make_optimizer, set_rates
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
    assert optimizer.param_groups[0]["weight_decay"] == 0.2
    assert optimizer.defaults["eps"] == 1e-3
    assert isinstance(optimizer, torch.optim.AdamW)


def test_parts_learn_at_rates_of_their_own():
    vlm = tiny_vlm()
    set_trainable(vlm, Trainable(language=True))
    config = OptimConfig(lr=0.1, language_lr=0.01, weight_decay=0.2, warmup=0.0)
    optimizer = make_optimizer(vlm, config)
    figures = set_rates(optimizer, 5, 10, config)
    assert figures == {
        "lr": pytest.approx(0.05),
        "lr/projector": pytest.approx(0.05),
        "lr/language": pytest.approx(0.005),
    }
    for group in optimizer.param_groups:
        assert group["lr"] == figures[f"lr/{group['part']}"]
    held = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in vlm.parameters() if p.requires_grad)


def test_biases_and_norms_do_not_decay():
    vlm = tiny_vlm()
    set_trainable(vlm, Trainable(language=True))
    optimizer = make_optimizer(vlm, OptimConfig(weight_decay=0.2))
    decayed = {id(p) for g in optimizer.param_groups if g["weight_decay"] for p in g["params"]}
    for name, parameter in vlm.named_parameters():
        if parameter.requires_grad:
            spared = name.endswith("bias") or "norm" in name.lower()
            assert (id(parameter) in decayed) != spared, name


def test_a_line_and_a_constant():
    line = OptimConfig(lr=2.0, warmup=0.2, schedule="linear")
    assert [lr_at(s, 10, line) for s in (0, 1, 2, 6, 9)] == [1.0, 2.0, 2.0, 1.0, 0.25]
    flat = OptimConfig(lr=2.0, warmup=0.2, schedule="constant")
    assert [lr_at(s, 10, flat) for s in (0, 1, 2, 9)] == [1.0, 2.0, 2.0, 2.0]


def test_a_rate_of_a_frozen_part_is_refused():
    vlm = tiny_vlm()
    set_trainable(vlm, Trainable())
    with pytest.raises(ConfigError, match=r"encoder has a learning rate"):
        make_optimizer(vlm, OptimConfig(encoder_lr=1e-5))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_weights_do_not_learn(dtype):
    vlm = tiny_vlm()
    vlm.language.to(dtype)
    set_trainable(vlm, Trainable(language=True))
    with pytest.raises(ConfigError, match=r"language learns in b?float16.*float32"):
        make_optimizer(vlm, OptimConfig())
    set_trainable(vlm, Trainable())  # a frozen one may be
    make_optimizer(vlm, OptimConfig())
