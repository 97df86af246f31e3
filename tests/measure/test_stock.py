"""Stock models that read images by rules of their own: what is measured is the model's own forward.

Positions of rows and columns, images read both ways, capped scores, and DeepStack.
"""

import copy
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForImageTextToText

from diglot.core.layout import pack
from diglot.core.segments import Image, Tokens
from diglot.measure.attention_rows import attention_of_rows, record_rows
from diglot.measure.checkpoint import randomise_projector
from diglot.measure.config import STANDARD, MeasureConfig
from diglot.measure.plan import Subject
from diglot.measure.projected import ProjectedSample, project_samples
from diglot.measure.runner import measure_alignment
from diglot.models.vlm import VLM, VLMConfig, build_vlm
from tests.models.adapters.test_visual_rules import document, stock_inputs
from tests.models.adapters.tiny_stock import SAVE
from tests.tiny import NAMES, tiny_sample, tiny_views

WORDS = (20, 21, 22, 23, 24)
CLOSE: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-5}


@pytest.fixture(scope="module", params=sorted(SAVE))
def stock(request, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    folder = SAVE[request.param](tmp_path_factory.mktemp("stock") / "model")
    model = AutoModelForImageTextToText.from_pretrained(folder, attn_implementation="eager").eval()
    vlm = build_vlm(VLMConfig(stock=str(folder))).eval()
    return SimpleNamespace(kind=model.config.model_type, model=model, vlm=vlm)


@pytest.fixture(scope="module")
def both(stock: SimpleNamespace) -> SimpleNamespace:
    """One picture between words: as we run it, and the model's own states and attention."""
    encoded, ids_T, views = document(stock.vlm, [Tokens(WORDS[:2]), Image(), Tokens(WORDS)], 1)
    packed = pack([encoded], row_tokens=1)
    with torch.no_grad():
        visual = stock.vlm.project(stock.vlm.features(views))
        inputs = stock_inputs(stock, ids_T, views, len(ids_T))
        asked = {"output_hidden_states": True, "output_attentions": True}
        theirs = stock.model(**inputs, **asked)
    return SimpleNamespace(vlm=stock.vlm, packed=packed, visual=visual, theirs=theirs)


@torch.no_grad()
def test_states_of_every_layer_are_the_models(both: SimpleNamespace) -> None:
    ours = both.vlm.decode(both.packed, both.visual, every_layer=True).hidden_states
    assert len(ours) == len(both.theirs.hidden_states)
    for mine, its in zip(ours, both.theirs.hidden_states, strict=True):
        torch.testing.assert_close(mine[..., : its.shape[-1]], its, **CLOSE)


@torch.no_grad()
def test_attention_of_rows_is_the_models(both: SimpleNamespace) -> None:
    rows = torch.tensor([0, 3, both.packed.token_BT.shape[1] - 1])
    with record_rows(both.vlm.language):
        embeds = both.vlm.embed(both.packed, both.visual)
        got = attention_of_rows(both.vlm.language, both.packed, embeds, rows)
    want = torch.stack([layer[0].mean(dim=0)[rows] for layer in both.theirs.attentions])
    torch.testing.assert_close(got, want, **CLOSE)


@torch.no_grad()
def test_a_random_projector_has_the_numbers_and_not_the_tokens(tmp_path: Path) -> None:
    vlm = build_vlm(VLMConfig(stock=str(SAVE["qwen3_vl"](tmp_path / "model")))).eval()
    before = copy.deepcopy(vlm.projector)
    features = vlm.features(tiny_views(tiny_sample(0, objects=2, size_hw=(64, 64)), vlm=vlm))
    tokens_ND = vlm.project(features)
    randomise_projector(vlm, tmp_path / "model", seed=0)
    pairs = list(zip(before.parameters(), vlm.projector.parameters(), strict=True))
    for trained, shuffled in pairs:
        torch.testing.assert_close(trained.flatten().sort()[0], shuffled.flatten().sort()[0])
    assert not any(torch.equal(a, b) for a, b in pairs if a.ndim > 1)
    assert not torch.allclose(vlm.project(features), tokens_ND)


def project(vlm: VLM, count: int) -> list[ProjectedSample]:
    samples = [tiny_sample(i, objects=2, size_hw=(64, 64)) for i in range(count)]
    views = partial(tiny_views, vlm=vlm)
    return project_samples(vlm, samples, views, views_are="pixels", keep_features=count)


def test_every_measure_runs_and_is_finite(stock: SimpleNamespace) -> None:
    vlm = stock.vlm
    names = (*STANDARD, "embedding", "layers", "attention")
    chosen = {name: {} for name in names} | {"layers": {"k": 2}, "embedding": {"pursuit_steps": 2}}
    options = MeasureConfig(measures=chosen, bootstrap_draws=10)
    held_out = project(vlm, 12)
    assert held_out[0].visual_PD.shape[1] == vlm.language.width
    got = measure_alignment(Subject(vlm=vlm, held_out=held_out, names=NAMES, options=options))
    values = {key: measure.estimate.value for key, measure in got.items() if key != "iou"}
    assert all(value is not None and np.isfinite(value) for value in values.values()), values


def test_deepstack_is_more_than_the_visual_tokens(tmp_path: Path) -> None:
    vlm = build_vlm(VLMConfig(stock=str(SAVE["qwen3_vl"](tmp_path / "model")))).eval()
    (scene,) = project(vlm, 1)
    width = vlm.language.width
    assert scene.levels == vlm.levels == 3
    assert scene.inputs_PD.shape == (len(scene.grid), 3 * width)
    assert scene.visual_PD.equal(scene.inputs_PD[:, :width])
    assert scene.features_ME is not None
    assert scene.features_ME.shape[1] == vlm.encoder.width // 3
    encoded, _, _ = document(vlm, [Tokens(WORDS), Image(), Tokens(WORDS)], 1)
    packed = pack([encoded], row_tokens=1)
    with torch.no_grad():
        whole = vlm.project(vlm.features(document(vlm, [Image()], 1)[2]))
        bare = torch.cat([whole[:, :width], torch.zeros_like(whole[:, width:])], dim=1)
        one, other = (vlm.decode(packed, v).last_hidden_state for v in (whole, bare))
    assert (one - other).abs().max() > 1e-2
    with pytest.raises(AssertionError):  # tokens alone would be another model
        vlm.embed(packed, whole[:, :width])
