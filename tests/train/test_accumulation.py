"""Gradient accumulation is exact: means over the optimizer step, however it is cut."""

import pytest
import torch

from diglot.train.loop import train
from tests.tiny_folders import tiny_stage
from tests.train.outcome import figures, weights


def run(world, out, **changes):
    train(tiny_stage(world, out, max_samples=16, global_batch=8, **changes))
    return figures(out), weights(out)


@pytest.mark.parametrize(
    "objective",
    [
        {"name": "caption"},
        {"name": "code_switch", "entity_weight": 0.5},
        {"name": "code_switch", "reduction": "sum"},
        {"name": "code_switch", "reduction": "joint", "entity_weight": 0.5},
    ],
)
def test_micro_batches_of_any_size_give_the_same_step(world, tmp_path, objective):
    whole, weights_whole = run(world, tmp_path / "8", micro_batch=8, objective=objective)
    counts = [line["items/text"] for line in whole]
    assert len(set(counts)) == len(counts) == 2
    for micro in (1, 3):
        cut, weights_cut = run(world, tmp_path / str(micro), micro_batch=micro, objective=objective)
        for a, b in zip(whole, cut, strict=True):
            assert a == pytest.approx(b, rel=1e-6)
        for name, weight in weights_whole.items():
            # Adam divides by the root of the second moment: where a gradient is all rounding, so is
            # its sign, and the weight differs by a share of the learning rate
            assert torch.allclose(weight, weights_cut[name], rtol=1e-6, atol=3e-6), name


def test_a_run_ignores_what_accelerate_is_given_of_accumulation(world, tmp_path, monkeypatch):
    plain, _ = run(world, tmp_path / "plain")
    monkeypatch.setenv("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "4")
    assert run(world, tmp_path / "set")[0] == plain


def test_sum_and_mean_differ_by_the_count(world, tmp_path):
    mean, _ = run(world, tmp_path / "mean", objective={"name": "caption"})
    summed, _ = run(world, tmp_path / "sum", objective={"name": "caption", "reduction": "sum"})
    assert summed[0]["loss"] == pytest.approx(mean[0]["loss"] * mean[0]["items/text"], rel=1e-9)
    assert summed[0]["grad_norm"] == pytest.approx(
        mean[0]["grad_norm"] * mean[0]["items/text"], rel=1e-5
    )


def test_one_mean_weighs_the_tokens_of_both_terms_alike(world, tmp_path):
    def first(reduction):
        objective = {"name": "code_switch", "reduction": reduction}
        return run(world, tmp_path / reduction, objective=objective)[0][0]

    mean, summed, joint = first("mean"), first("sum"), first("joint")
    texts, entities = mean["items/text"], mean["items/entity"]
    assert texts != entities
    expected = (texts * mean["loss/text"] + entities * mean["loss/entity"]) / (texts + entities)
    assert joint["loss"] == pytest.approx(expected, rel=1e-6)
    assert joint["loss"] == pytest.approx(joint["loss/text"] + joint["loss/entity"], rel=1e-9)
    assert joint["grad_norm"] == pytest.approx(summed["grad_norm"] / (texts + entities), rel=1e-5)
