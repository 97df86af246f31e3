"""Values that are not finite, as of half precision that overflows: not measured, never a number."""

import logging

import pytest
import torch

from diglot.measure.config import MeasureConfig, every_measure
from diglot.measure.plan import Subject
from diglot.measure.projected import project_samples
from diglot.measure.runner import measure_alignment
from tests.tiny import NAMES, tiny_sample, tiny_views, tiny_vlm

COUNT = 12


def overflow(module: torch.nn.Module) -> None:
    """The module's output becomes infinite."""

    def replace_output(module, args, out):
        whole = out if torch.is_tensor(out) else out[0]
        full = torch.full_like(whole, torch.inf)
        return full if torch.is_tensor(out) else (full, *out[1:])

    module.register_forward_hook(replace_output)


def measure(vlm, chosen):
    samples = [tiny_sample(i, size_hw=(64, 64)) for i in range(COUNT)]
    held_out = project_samples(
        vlm, samples, lambda s: tiny_views(s, vlm), views_are="pixels", keep_features=COUNT
    )
    options = MeasureConfig(measures=chosen, bootstrap_draws=20)
    return measure_alignment(Subject(vlm=vlm, held_out=held_out, names=NAMES, options=options))


def test_a_projector_that_overflows_leaves_every_measure_unmeasured(caplog):
    vlm = tiny_vlm(image_px=64)
    overflow(vlm.projector)
    with caplog.at_level(logging.WARNING):
        got = measure(vlm, every_measure().measures)
    assert len(got) > 20
    assert all(one.estimate.value is None for one in got.values())
    assert "embedding space: not measured, as visual tokens are not finite" in caplog.text


@pytest.mark.parametrize("layer", [0, 1])
def test_a_layer_that_overflows_costs_what_reads_it_alone(layer, caplog):
    vlm = tiny_vlm(image_px=64)
    overflow(vlm.language.model.model.layers[layer])
    chosen = {"presence": {}, "caption_nll": {}, "embedding": {"pursuit_scenes": 0}}
    got = measure(vlm, {**chosen, "layers": {"k": 2}, "attention": {}})
    unmeasured = {key for key, one in got.items() if one.estimate.value is None}
    assert {"presence_auc", "caption_nll"} <= unmeasured
    assert not unmeasured & {"entropy_drop", "align", "tacs"}
    assert ("attention_mass" in unmeasured) == (layer == 0)  # the last layer still attends
    assert ("cka" in unmeasured) == (layer == 0)
    assert got["cka"].details["layers not measured"] == (2 if layer == 0 else 1)
