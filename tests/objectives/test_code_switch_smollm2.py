"""The same equality on a real language model: SmolLM2-135M-Instruct, in float64."""

import pytest
import torch

from diglot.core.preprocess import Preprocess
from diglot.models.language import LanguageConfig, load_language
from diglot.models.projectors import mlp
from diglot.models.vlm import VLM
from diglot.objectives import code_switch
from tests.objectives.naive import naive_losses
from tests.objectives.test_code_switch import batch_of, gradient, sample_with, views_of
from tests.tiny import TinyEncoder


@pytest.fixture(scope="module")
def vlm() -> VLM:
    language = load_language(LanguageConfig()).requires_grad_(False).eval()
    encoder = TinyEncoder(image_px=32)
    embeddings_rms = language.input_embeddings.weight.square().mean().sqrt().item()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        projector = mlp.build(
            mlp.Config(hidden=32, unshuffle=2),
            encoder_width=encoder.width,
            llm_width=language.width,
            embeddings_rms=embeddings_rms,
        )
    # float64: in float32 the rounding of 30 layers alone is 5e-5 of the gradient (its norms and
    # rotary angles stay in float32 all the same)
    return VLM(encoder, projector, language, Preprocess(image_px=32)).double()


@pytest.mark.slow
@pytest.mark.embedded
def test_one_forward_equals_one_per_entity_on_smollm2(vlm):
    samples = [sample_with("adjacent", 1), sample_with("repeated", 2), sample_with("none", 3)]
    objective = code_switch.build(code_switch.Config())
    batch = batch_of(vlm, objective, samples, row_tokens=256)
    terms = objective.loss(vlm(batch, objective.reads), batch)
    ours = sum(terms.sums[t] / batch.counts[t] for t in objective.terms)
    naive = [
        naive_losses(vlm, sample, vlm.project(vlm.features(views_of(sample, vlm))))
        for sample in samples
    ]
    literal = sum(n.text for n in naive) / sum(n.text_tokens for n in naive) + sum(
        n.entity for n in naive
    ) / sum(n.entity_tokens for n in naive)
    torch.testing.assert_close(ours, literal, rtol=1e-6, atol=0)
    difference = gradient(vlm, ours) - (reference := gradient(vlm, literal))
    assert difference.norm() <= 1e-6 * reference.norm()
