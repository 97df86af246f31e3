from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from diglot.core.layout import encode, pack
from diglot.core.region_cover import region_pixels
from diglot.core.segments import Tokens
from diglot.measure.attention_maps import open_queries, read_map
from diglot.measure.attention_rows import attention_of_rows, record_rows
from diglot.measure.config import MeasureConfig
from diglot.measure.map_items import items_by_layer, read_readings
from diglot.measure.parts import attention
from diglot.measure.plan import Subject
from diglot.measure.projected import ProjectedSample, project_samples
from diglot.metrics.attention_mass import map_entropy, mass_inside
from diglot.models.language import Language
from diglot.models.prompt import Frame
from tests.models.test_decode import windowed
from tests.tiny import tiny_language, tiny_sample, tiny_tokenizer, tiny_views, tiny_vlm


@pytest.mark.parametrize("kind", ["llama", "qwen2", "qwen3"])
def test_rows_equal_eager_attention_and_the_output_is_the_same(kind):
    language = tiny_language(kind)
    ids = torch.arange(17)[None] * 7
    document = encode((Tokens(tuple(ids[0].tolist())),), visual_counts=(), terms=())
    packed = pack([document], row_tokens=1)
    embeds, rows = language.input_embeddings(ids).detach(), torch.tensor([0, 5, 16])
    with torch.no_grad(), record_rows(language):
        got = attention_of_rows(language, packed, embeds, rows)
        language.decode(embeds)  # without wanted rows it is plain SDPA
    assert language.model.config._attn_implementation == "sdpa"
    language.model.set_attn_implementation("eager")
    with torch.no_grad():
        eager = language.model.base_model(inputs_embeds=embeds, output_attentions=True)
    slow = torch.stack([layer[0].mean(dim=0)[rows] for layer in eager.attentions])
    torch.testing.assert_close(got, slow, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(got.sum(dim=-1), torch.ones(got.shape[:2]))


@pytest.mark.parametrize("kind", ["mistral", "gemma3", "qwen2"])
def test_rows_beyond_a_sliding_window_equal_eager_attention(kind):
    """Of 24 positions a layer with a window of 8 sees the last ones, another all of them."""
    language = Language(windowed(kind), tiny_tokenizer())
    ids = torch.arange(24)[None] + 10
    document = encode((Tokens(tuple(ids[0].tolist())),), visual_counts=(), terms=())
    packed = pack([document], row_tokens=1)
    embeds, rows = language.input_embeddings(ids).detach(), torch.tensor([0, 7, 8, 23])
    with torch.no_grad(), record_rows(language):
        got = attention_of_rows(language, packed, embeds, rows)
    language.model.set_attn_implementation("eager")
    with torch.no_grad():
        eager = language.model.base_model(inputs_embeds=embeds, output_attentions=True)
    slow = torch.stack([layer[0].mean(dim=0)[rows] for layer in eager.attentions])
    torch.testing.assert_close(got, slow, rtol=1e-5, atol=1e-6)
    attended = (got > 0).sum(dim=-1)[:, -1].tolist()
    assert attended == {"mistral": [8, 8], "gemma3": [8, 24], "qwen2": [24, 8]}[kind]


@pytest.fixture(scope="module")
def vlm():
    return tiny_vlm(image_px=64)


@pytest.fixture(scope="module")
def scenes(vlm):
    samples = [tiny_sample(i, objects=2, size_hw=(64, 64)) for i in range(4)]
    return project_samples(vlm, samples, lambda s: tiny_views(s, vlm), views_are="pixels")


def test_an_entity_asks_with_its_own_tokens(vlm, scenes):
    (query,) = open_queries(vlm, scenes[:1], Frame(), "entity", "")
    for region, positions in query.objects:
        text = vlm.language.tokenizer.decode(query.encoded.token_T[list(positions)])
        assert text.strip() == region.phrase
    (query,) = open_queries(vlm, scenes[:1], Frame(), "last", "Describe this photo in detail")
    assert {positions for _, positions in query.objects} == {(len(query.encoded) - 1,)}
    (query,) = open_queries(vlm, scenes[:1], Frame(), "instruction", "Describe this")
    text = vlm.language.tokenizer.decode(query.encoded.token_T[list(query.objects[0][1])])
    assert text == "Describe this"


def test_maps_are_the_attention_to_the_visual_tokens(vlm, scenes):
    (query,) = open_queries(vlm, scenes[:1], Frame(), "entity", "")
    with record_rows(vlm.language):
        maps = read_map(vlm, query)
    for layers, got in zip(eager_maps(vlm, scenes[0], query), maps, strict=True):
        for layer, weight_P in enumerate(layers):
            assert got.weight_LP[layer] == pytest.approx(weight_P, rel=1e-4, abs=1e-7)


def eager_maps(vlm, scene, query) -> list[list[np.ndarray]]:
    """Of every object and layer the map (P,), from the weights of the model's own attention."""
    language = tiny_language()
    language.model.load_state_dict(vlm.language.model.state_dict())
    language.model.set_attn_implementation("eager")
    visual = query.encoded.visual_T
    embeds = language.input_embeddings(query.encoded.token_T).detach()
    embeds[visual >= 0] = scene.visual_PD
    with torch.no_grad():
        eager = language.model.base_model(inputs_embeds=embeds[None], output_attentions=True)
    return [
        [
            weights[0].mean(dim=0)[list(positions)].mean(dim=0)[visual >= 0].numpy()
            for weights in eager.attentions
        ]
        for _, positions in query.objects
    ]


def slow_readings(weight_P, mask_HW, box) -> dict[str, float]:
    """Pointing, mass and entropy of one map on a grid of 8 x 8 cells of 8 pixels, cell by cell."""
    x0, y0, x1, y1 = box
    box_HW = np.zeros((64, 64))
    box_HW[round(y0) : round(y1), round(x0) : round(x1)] = 1
    total, found = sum(weight_P), {"mass": 0.0, "mass_box": 0.0, "entropy": 0.0}
    best = max(range(64), key=lambda p: weight_P[p])
    for p, weight in enumerate(weight_P):
        rows, columns = (slice(8 * at, 8 * at + 8) for at in divmod(p, 8))
        found["mass"] += weight / total * mask_HW[rows, columns].mean()
        found["mass_box"] += weight / total * box_HW[rows, columns].mean()
        found["entropy"] -= weight / total * np.log(weight / total)
    row, column = divmod(best, 8)
    return found | {"pointing": float(mask_HW[8 * row + 4, 8 * column + 4] >= 0.5)}


def test_every_reading_is_its_definition(vlm, scenes):
    slow: dict[str, list[list[float]]] = {}
    for scene, query in zip(scenes, open_queries(vlm, scenes, Frame(), "entity", ""), strict=True):
        for (region, _), layers in zip(query.objects, eager_maps(vlm, scene, query), strict=True):
            mask = region_pixels(region, (64, 64))
            of_layers = [slow_readings(weight_P, mask, region.box) for weight_P in layers]
            for reading in of_layers[0]:
                slow.setdefault(reading, []).append([found[reading] for found in of_layers])
    got = measured(vlm, scenes)
    for reading, values in slow.items():
        measure = got[f"attention_{reading}"]
        (curve,) = measure.layers.values()
        assert curve[1:] == pytest.approx(np.mean(values, axis=0).tolist(), rel=1e-4), reading
        assert measure.estimate.value == pytest.approx(np.mean(values), rel=1e-4), reading


def measured(vlm, held_out, **settings) -> dict[str, Any]:
    subject = Subject(vlm=vlm, held_out=held_out, options=MeasureConfig(bootstrap_draws=50))
    work = attention.build(
        attention.Config(**settings), subject=subject, generator=np.random.default_rng(0)
    )
    done = []
    made = work.run(done.append)
    assert sum(done) == work.tokens
    return {measure.key: measure for measure in made}


@pytest.mark.parametrize("query", ["entity", "instruction", "last"])
def test_measures_by_layer(vlm, scenes, query):
    got = measured(vlm, scenes, query=query)
    assert list(got) == [f"attention_{r}" for r in ("pointing", "mass", "mass_box", "entropy")]
    for measure in got.values():
        (curve,) = measure.layers.values()
        assert curve[0] is None
        assert len(curve[1:]) == 2
        value, low, high = measure.estimate.value, measure.estimate.low, measure.estimate.high
        assert value == pytest.approx(np.mean(np.array(curve[1:], float)))
        assert low <= value <= high
        assert measure.estimate.n == 8
    assert got["attention_entropy"].estimate.value <= np.log(64)


def test_attention_on_the_object_scores_and_even_attention_is_chance(vlm, scenes):
    (query,) = open_queries(vlm, scenes[:1], Frame(), "entity", "")
    with record_rows(vlm.language):
        maps = read_map(vlm, query)
    on = [replace(m, weight_LP=np.stack([m.inside_P * 1.0])) for m in maps]
    kept = [read_readings(m) for m in on]
    assert [i.value for i in items_by_layer(kept, "pointing")[0]] == [1.0, 1.0]
    even = [replace(m, weight_LP=np.ones((1, 64))) for m in maps]
    for reading in ("pointing", "mass", "mass_box", "entropy"):
        for item in items_by_layer([read_readings(m) for m in even], reading)[0]:
            assert item.value == pytest.approx(item.chance), reading


def test_nothing_to_ask_is_not_measured(vlm, scenes):
    scene = scenes[0]
    bare = replace(scene.sample, regions=())
    blank = ProjectedSample(bare, scene.grid, scene.visual_PD)
    for got in (measured(vlm, [blank]), measured(vlm, scenes, scenes=0)):
        assert all(m.estimate.value is None for m in got.values())


def test_mass_and_entropy_of_a_map():
    weight, cover = np.array([1.0, 3.0, 0.0]), np.array([0.5, 1.0, 1.0])
    assert mass_inside(weight, cover) == pytest.approx((0.5 + 3) / 4)
    assert map_entropy(weight) == pytest.approx(-(0.25 * np.log(0.25) + 0.75 * np.log(0.75)))
    assert map_entropy(np.ones(5)) == pytest.approx(np.log(5))
    assert mass_inside(np.zeros(3), cover) is None
    assert map_entropy(np.zeros(3)) is None
