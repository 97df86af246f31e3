import numpy as np
import pytest
import torch

from diglot.data.collate import collate, encode_sample
from diglot.measure.caption_nll import plan_caption_nll
from diglot.measure.config import MeasureConfig
from diglot.measure.likelihood import log_likelihoods
from diglot.measure.projected import project_samples
from diglot.objectives import caption
from tests.tiny import tiny_sample, tiny_views, tiny_vlm

CONFIG = MeasureConfig(bootstrap_draws=50)


def nll(vlm, samples, config=CONFIG):
    projected = project_samples(vlm, samples, lambda s: tiny_views(s, vlm), views_are="pixels")
    plan = plan_caption_nll(vlm, projected, config, np.random.default_rng(0))
    answers = log_likelihoods(vlm, plan.questions, row_tokens=256, batch_tokens=999)
    return plan.conclude(answers)[0]


@torch.no_grad()
def test_is_the_loss_of_the_caption_objective():
    vlm = tiny_vlm()
    samples = [tiny_sample(i, objects=1 + i % 3) for i in range(5)]
    objective = caption.build(caption.Config())
    laid = []
    for sample in samples:
        grid, rng = vlm.token_grid(sample.size_hw), torch.Generator()
        prepared = objective.prepare(sample, (grid,), vlm.language.tokenizer, rng)
        options = {"views_are": "pixels", "terms": ("text",), "counts": dict(prepared.counts)}
        laid.append(
            encode_sample(sample.id, prepared.sequence, (grid,), tiny_views(sample, vlm), **options)
        )
    batch = collate(laid, row_tokens=256)
    loss = objective.loss(vlm(batch, objective.reads), batch)
    measure = nll(vlm, samples)
    assert measure.estimate.value == pytest.approx(
        loss.sums["text"].item() / batch.counts["text"], rel=1e-5
    )
    assert measure.details["tokens"] == batch.counts["text"]
    assert measure.estimate.low < measure.estimate.value < measure.estimate.high
    assert not measure.higher_is_better


def test_no_scenes_is_not_measured():
    config = MeasureConfig(caption_scenes=0)
    measure = nll(tiny_vlm(), [tiny_sample()], config)
    assert (measure.estimate.value, measure.estimate.n) == (None, 0)
