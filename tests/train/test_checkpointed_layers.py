"""Layers computed again on the way back give the figures and weights of layers that are kept."""

from collections import Counter
from dataclasses import replace

import pytest
import torch
from transformers.models.llama.modeling_llama import LlamaMLP, LlamaPreTrainedModel

from diglot.core.errors import ConfigError
from diglot.models.trainable import Trainable
from diglot.train.loop import train
from tests.tiny_folders import tiny_stage
from tests.train.outcome import figures, weights


def run(world, out, attention="split", **changes):
    stage = tiny_stage(world, out, max_samples=8, global_batch=4, **changes)
    train(replace(stage, model=replace(stage.model, attention=attention)))
    return figures(out), weights(out)


@pytest.mark.parametrize(
    ("attention", "language"),
    [("split", False), ("split", True), ("sdpa", False), ("separate", True)],
)
def test_same_figures_and_weights(world, tmp_path, monkeypatch, attention, language):
    calls = Counter()
    plain = LlamaMLP.forward

    def count(self, *args, **kwargs):
        calls["grad" if torch.is_grad_enabled() else "none"] += 1
        return plain(self, *args, **kwargs)

    monkeypatch.setattr(LlamaMLP, "forward", count)
    changes = {
        "objective": "code_switch",
        "trainable": Trainable(language=language),
        "attention": attention,
    }
    kept = run(world, tmp_path / "kept", **changes)
    once = calls.pop("grad")
    again = run(world, tmp_path / "again", **changes, gradient_checkpointing=True)
    assert calls["grad"] == 2 * once  # each layer ran a second time
    for a, b in zip(kept[0], again[0], strict=True):
        assert a == pytest.approx(b, rel=1e-6)
    assert kept[1].keys() == again[1].keys()
    for name, weight in kept[1].items():
        torch.testing.assert_close(again[1][name], weight, rtol=1e-5, atol=3e-6)


def test_a_model_without_it_is_refused(world, tmp_path, monkeypatch):
    monkeypatch.setattr(LlamaPreTrainedModel, "supports_gradient_checkpointing", False)
    with pytest.raises(ConfigError, match=r"no gradient checkpointing.*micro_batch"):
        run(world, tmp_path / "run", gradient_checkpointing=True)
