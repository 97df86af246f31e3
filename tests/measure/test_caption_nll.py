import numpy as np
import pytest
import torch

from diglot.data.collate import collate_batch, encode_sample
from diglot.measure.config import MeasureConfig
from diglot.measure.likelihood import log_likelihoods
from diglot.measure.parts import caption_nll
from diglot.measure.plan import Subject
from diglot.measure.projected import project_samples
from diglot.objectives import caption
from tests.tiny import tiny_sample, tiny_views, tiny_vlm

CONFIG = MeasureConfig(bootstrap_draws=50)


def nll(vlm, samples, **settings):
    projected = project_samples(vlm, samples, lambda s: tiny_views(s, vlm), views_are="pixels")
    subject = Subject(vlm=vlm, held_out=projected, options=CONFIG)
    config = caption_nll.Config(**settings)
    plan = caption_nll.build(config, subject=subject, generator=np.random.default_rng(0))
    answers = log_likelihoods(vlm, plan.questions, row_tokens=256, batch_tokens=999)
    return plan.conclude(answers)[0]


@torch.no_grad()
def test_is_the_loss_of_the_caption_objective():
    vlm = tiny_vlm()
    samples = [tiny_sample(i, objects=1 + i % 3) for i in range(5)]
    objective = caption.build(caption.Config())
    encoded = []
    for sample in samples:
        grid, rng = vlm.token_grid(sample.size_hw), torch.Generator()
        prepared = objective.prepare(sample, (grid,), vlm.language.tokenizer, rng)
        options = {"views_are": "pixels", "terms": ("text",), "counts": dict(prepared.counts)}
        encoded.append(
            encode_sample(sample.id, prepared.sequence, (grid,), tiny_views(sample, vlm), **options)
        )
    batch = collate_batch(encoded, row_tokens=256)
    loss = objective.loss(vlm(batch, objective.reads), batch)
    measure = nll(vlm, samples)
    assert measure.estimate.value == pytest.approx(
        loss.sums["text"].item() / batch.counts["text"], rel=1e-5
    )
    assert measure.details["tokens"] == batch.counts["text"]
    assert measure.estimate.low < measure.estimate.value < measure.estimate.high
    assert not measure.higher_is_better


def test_no_scenes_is_not_measured():
    measure = nll(tiny_vlm(), [tiny_sample()], scenes=0)
    assert (measure.estimate.value, measure.estimate.n) == (None, 0)
