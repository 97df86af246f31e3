import numpy as np
import pytest
import torch

from diglot.core.result import Estimate
from diglot.measure.config import MeasureConfig
from diglot.measure.hidden_states import LayerStates, open_documents, read_layers
from diglot.measure.layer_curves import layer_kernels, mean_of_layers, mir_of
from diglot.measure.parts import layers
from diglot.measure.plan import Subject
from diglot.measure.projected import project_samples
from diglot.metrics.cka import cka
from diglot.metrics.cknna import cknna
from diglot.metrics.mir import integration_rate, layer_distance
from diglot.metrics.mutual_knn import neighbour_overlap
from diglot.models.prompt import Frame
from tests.tiny import tiny_sample, tiny_views, tiny_vlm

COUNT = 14


@pytest.fixture(scope="module", params=["llama", "qwen3"])
def vlm(request):
    return tiny_vlm(request.param)


@pytest.fixture(scope="module")
def scenes(vlm):
    samples = [tiny_sample(i, objects=1 + i % 3) for i in range(COUNT)]
    return project_samples(vlm, samples, lambda s: tiny_views(s, vlm), views_are="pixels")


def states_of(vlm, scenes, batch_tokens=400, tokens=64):
    return read_layers(
        vlm,
        open_documents(vlm, scenes, Frame()),
        tokens=tokens,
        batch_tokens=batch_tokens,
        generator=np.random.default_rng(0),
        done=lambda tokens: None,
    )


@torch.no_grad()
def slow_states(vlm, scene):
    """One image and its caption by itself, through the LLM's own forward."""
    tokenizer, words = vlm.language.tokenizer, vlm.language.input_embeddings
    caption = tokenizer(scene.sample.caption, add_special_tokens=False)["input_ids"]
    newline = tokenizer("\n", add_special_tokens=False)["input_ids"]
    start, text = torch.tensor([tokenizer.bos_token_id]), torch.tensor(newline + caption)
    embeds = torch.cat([words(start), scene.visual_PD, words(text)])[None]
    hidden = vlm.language.model.base_model(inputs_embeds=embeds, output_hidden_states=True)
    states = torch.cat(hidden.hidden_states)
    count = len(scene.grid)
    return states[:, 1 : 1 + count], states[:, -len(caption) :]


def test_states_are_those_of_one_forward_each_whatever_the_batches(vlm, scenes):
    got, one_by_one = states_of(vlm, scenes), states_of(vlm, scenes, batch_tokens=1)
    for i, scene in enumerate(scenes):
        visual, text = slow_states(vlm, scene)
        for states in (got, one_by_one):
            torch.testing.assert_close(
                states.visual_LND[:, i], visual.mean(dim=1), rtol=1e-4, atol=1e-4
            )
            torch.testing.assert_close(
                states.text_LND[:, i], text.mean(dim=1), rtol=1e-4, atol=1e-4
            )
    torch.testing.assert_close(
        got.visual_tokens_LKD, one_by_one.visual_tokens_LKD, rtol=1e-4, atol=1e-4
    )
    assert got.visual_tokens_LKD.shape[1] == got.text_tokens_LKD.shape[1] == 64
    assert got.layers == 3


def measured(vlm, held_out, **settings):
    options = MeasureConfig(bootstrap_draws=50)
    subject = Subject(vlm=vlm, held_out=held_out, options=options)
    work = layers.build(
        layers.Config(k=3, **settings), subject=subject, generator=np.random.default_rng(0)
    )
    done = []
    made = work.run(done.append)
    assert sum(done) == work.tokens
    return {measure.key: measure for measure in made}


def test_curves_are_the_metrics_of_pooled_states(vlm, scenes):
    got, states = measured(vlm, scenes), states_of(vlm, scenes)
    visual, text = states.visual_LND.numpy(), states.text_LND.numpy()
    slow = {
        "cka": [cka(v, t) for v, t in zip(visual, text, strict=True)],
        "cknna": [cknna(v, t, k=3) for v, t in zip(visual, text, strict=True)],
        "mutual_knn": [
            neighbour_overlap(v, t, k=3).mean() for v, t in zip(visual, text, strict=True)
        ],
    }
    for key, values in slow.items():
        (curve,) = got[key].layers.values()
        assert curve == pytest.approx(values), key
        assert got[key].estimate.value == pytest.approx(np.mean(values[1:]))
        assert got[key].estimate.low <= got[key].estimate.value <= got[key].estimate.high
        assert got[key].estimate.n == COUNT
    assert got["mutual_knn"].chance == pytest.approx(3 / (COUNT - 1))


def test_mir_is_that_of_the_whole_tokens(vlm, scenes):
    states = states_of(vlm, scenes, tokens=256)
    slow = [
        layer_distance(v.numpy(), t.numpy())
        for v, t in zip(states.visual_tokens_LKD, states.text_tokens_LKD, strict=True)
    ]
    got = measured(vlm, scenes)["mir"]
    assert got.estimate.value == pytest.approx(integration_rate(slow[1:]))
    assert got.estimate.low < got.estimate.value < got.estimate.high
    assert got.estimate.n == states.visual_tokens_LKD.shape[1]


def test_a_whole_token_knows_its_image(vlm, scenes):
    states = states_of(vlm, scenes, tokens=COUNT * 3 - 2)
    for image_K in (states.visual_image_K, states.text_image_K):
        assert image_K.tolist() == [i for i in range(COUNT) for _ in range(3)][: COUNT * 3 - 2]


@pytest.mark.slow
def test_mirs_interval_is_the_spread_over_data_sets() -> None:
    """Images differ from one another, and their tokens among themselves."""
    rng, images, tokens = np.random.default_rng(0), 60, 4
    of = np.repeat(np.arange(images), tokens)

    def draw() -> Estimate:
        text_LID = rng.normal(1, 0.5, (3, images, 6))
        visual_LID = 0.6 * text_LID + rng.normal(-1, 0.5, (3, images, 6))
        means = (torch.from_numpy(x).float() for x in (visual_LID, text_LID))
        sides = [x[:, of] + rng.normal(0, 0.5, (3, len(of), 6)) for x in (visual_LID, text_LID)]
        whole = (torch.from_numpy(x).float() for x in sides)
        return mir_of(LayerStates(*means, *whole, of, of))[0]

    drawn = [draw() for _ in range(200)]
    spread = np.std([one.value for one in drawn])
    claimed = np.mean([(one.high - one.low) / (2 * 1.96) for one in drawn])
    assert claimed / spread == pytest.approx(1, abs=0.2)


def test_the_platonic_way_is_an_option(vlm, scenes):
    got = measured(vlm, scenes, preparation="platonic", cknna="platonic", unbiased=True)
    plain = measured(vlm, scenes)
    assert got["cka"].estimate.value != pytest.approx(plain["cka"].estimate.value)


def test_too_few_samples_and_overflow_are_not_measured(vlm, scenes):
    few = measured(vlm, scenes[:3])
    assert few["cka"].estimate.value is not None
    assert few["cknna"].estimate.value is few["mutual_knn"].estimate.value is None
    assert all(m.estimate.value is None for m in measured(vlm, scenes, scenes=0).values())
    states = states_of(vlm, scenes)
    states.visual_LND[2, 1, 0] = torch.inf
    states.visual_tokens_LKD[2, 1, 0] = torch.nan
    kernels = layer_kernels(states, "none")
    estimate, values = mean_of_layers(lambda one, other: 1.0, kernels)
    assert (values, estimate.value) == ([1.0, 1.0, None], 1.0)
    assert mir_of(states)[1][2] is None


def test_intervals_stay_within_what_a_similarity_can_be(monkeypatch, vlm, scenes):
    wide = Estimate(value=0.9, low=-3.0, high=3.0, n=COUNT)
    monkeypatch.setattr(layers, "mean_of_layers", lambda similarity, kernels: (wide, [0.9]))
    made = {
        one.key: one.estimate
        for one in layers._make_measures(layers.Config(), states_of(vlm, scenes))
    }
    assert (made["cka"].low, made["cka"].high) == (0.0, 1.0)
    assert (made["mutual_knn"].low, made["mutual_knn"].high) == (0.0, 1.0)
    assert (made["cknna"].low, made["cknna"].high) == (-3.0, 1.0)
