"""A loss that is no number stops the run; the message names the samples."""

import sys

import pytest

from diglot.train.lanes import lanes_of_one
from diglot.train.loop import train
from diglot.train.order import Order
from diglot.train.step import NonFiniteLossError
from tests.tiny_folders import tiny_samples, tiny_stage
from tests.train.outcome import figures

OBJECTIVE = """
from dataclasses import dataclass
import torch
from diglot.objectives import caption

@dataclass(frozen=True, kw_only=True)
class Config:
    poisoned: str
    value: str = "nan"

class Poisoned(caption.CaptionObjective):
    def __init__(self, config):
        super().__init__(caption.Config())
        self.poison = config

    def loss(self, out, batch):
        terms = super().loss(out, batch)
        if self.poison.poisoned in batch.ids:
            terms.sums["text"] = self.break_total(terms.sums["text"])
        return terms

    def break_total(self, total):
        return total * float(self.poison.value)

def build(config):
    return Poisoned(config)
"""
# a finite loss whose gradient is not
GRADIENT = """
from dataclasses import dataclass
from own import poisoned

Config = poisoned.Config

class Steep(poisoned.Poisoned):
    def break_total(self, total):
        return total + (total - total.detach()).abs().sqrt()

def build(config):
    return Steep(config)
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "poisoned.py").write_text(OBJECTIVE)
    (tmp_path / "own" / "steep.py").write_text(GRADIENT)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    for name in ("own", "own.poisoned", "own.steep"):
        sys.modules.pop(name, None)


# a sample of step 3: the order is a function of the seed
LATE = f"tiny/{Order(lanes_of_one(20), global_batch=4, epochs=1, seed=0).step(3)[1][2]}"


def ids_of(message: str) -> set[str]:
    return {
        sample.id
        for sample in tiny_samples(20)
        if f"{sample.id}," in f"{message},".replace(":", ",")
    }


def stopped(world, out, objective, **changes) -> tuple[str, list]:
    stage = tiny_stage(world, out, objective=objective, **changes)
    with pytest.raises(NonFiniteLossError, match="is not finite") as error:
        train(stage)
    return str(error.value), figures(out)


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_the_micro_batch_at_fault_is_named(world, tmp_path, own, value):
    objective = {"name": "own.poisoned", "poisoned": LATE, "value": value}
    message, lines = stopped(world, tmp_path / "run", objective, micro_batch=1)
    assert ids_of(message) == {LATE}
    assert all(line["loss"] < 100 for line in lines)
    assert len(lines) == 3
    assert [p.name for p in (tmp_path / "run" / "state").iterdir()] == ["step-00000002"]
    assert not (tmp_path / "run" / "model").exists()
    # the last state is whole: the same command comes to the same place
    again, lines_again = stopped(world, tmp_path / "run", objective, micro_batch=1)
    assert (again, lines_again) == (message, lines)


def test_of_a_gradient_that_is_not_finite_the_whole_step_is_named(world, tmp_path, own):
    objective = {"name": "own.steep", "poisoned": LATE}
    message, lines = stopped(world, tmp_path / "run", objective, micro_batch=2)
    assert "gradient norm nan" in message or "gradient norm inf" in message
    assert len(ids_of(message)) == 4
    assert LATE in ids_of(message)
    assert lines


def test_without_the_record_the_run_goes_through(world, tmp_path, own):
    train(tiny_stage(world, tmp_path / "run", objective={"name": "own.poisoned", "poisoned": "-"}))
    assert len(figures(tmp_path / "run")) == 5
