"""Every part that learns must get a gradient."""

import logging

import pytest
import torch
from torch import nn

from diglot.core.errors import ConfigError
from diglot.train.gradients import PATIENCE, GradientWatch


class TwoParts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.projector, self.language = nn.Linear(2, 2), nn.Linear(2, 2)


def test_a_part_that_no_gradient_reaches_is_refused() -> None:
    model = TwoParts()
    watch = GradientWatch(model, ["projector", "language"])
    model.projector(torch.ones(1, 2)).sum().backward()
    for _ in range(PATIENCE - 1):
        watch.check()
    with pytest.raises(ConfigError, match=r"no gradient reaches the language in 20 steps"):
        watch.check()


def test_a_gradient_of_zeros_is_none_and_later_ones_count(caplog: pytest.LogCaptureFixture) -> None:
    model = TwoParts()
    watch = GradientWatch(model, ["projector"])
    (0 * model.projector(torch.ones(1, 2)).sum()).backward()
    watch.check()
    with caplog.at_level(logging.WARNING):
        watch.close()
    assert "no gradient reached the projector in 1 steps" in caplog.text
    model.projector(torch.ones(1, 2)).sum().backward()
    for _ in range(2 * PATIENCE):
        watch.check()
