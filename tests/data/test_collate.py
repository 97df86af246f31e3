import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from diglot.data.collate import collate_batch, encode_sample
from diglot.objectives import code_switch
from tests.tiny import tiny_sample, tiny_views, tiny_vlm

VLM = tiny_vlm()
OBJECTIVE = code_switch.build(code_switch.Config())


def encode_tiny(seed, **changes):
    sample = tiny_sample(seed, objects=1 + seed % 4)
    grid = VLM.token_grid(sample.size_hw)
    rng = torch.Generator().manual_seed(0)
    prepared = OBJECTIVE.prepare(sample, (grid,), VLM.language.tokenizer, rng)
    settings = {"views_are": "pixels", "terms": OBJECTIVE.terms, "counts": dict(prepared.counts)}
    return encode_sample(
        sample.id, prepared.sequence, (grid,), tiny_views(sample, VLM), **(settings | changes)
    )


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 7), min_size=1, max_size=6), st.sampled_from([1, 64, 256]))
def test_nothing_is_lost_or_mixed(seeds, row_tokens):
    samples = [encode_tiny(seed) for seed in seeds]
    batch = collate_batch(samples, row_tokens=row_tokens)
    assert batch.ids == tuple(s.id for s in samples)
    assert len(batch.views) == sum(len(s.views) for s in samples)
    assert len(batch.grids) == len(batch.targets) == len(samples)
    for term in OBJECTIVE.terms:
        assert batch.counts[term] == sum(s.counts[term] for s in samples)
        index = OBJECTIVE.terms.index(term)
        assert (batch.packed.term_S == index).sum() == batch.counts[term]
    assert (batch.packed.visual_BT >= 0).sum() == sum(
        (s.encoded.visual_T >= 0).sum() for s in samples
    )


def test_a_batch_gives_the_losses_of_its_samples_one_by_one():
    def loss(batch):
        return OBJECTIVE.loss(VLM(batch, OBJECTIVE.reads), batch).sums

    samples = [encode_tiny(seed) for seed in range(4)]
    together = loss(collate_batch(samples, row_tokens=256))
    alone = [loss(collate_batch([s], row_tokens=256)) for s in samples]
    for term in OBJECTIVE.terms:
        assert together[term].item() == pytest.approx(sum(a[term].item() for a in alone), rel=1e-5)


def test_an_image_without_a_sequence_is_encoded_alone():
    sample = tiny_sample(0)
    grid = VLM.token_grid(sample.size_hw)
    settings = {"views_are": "pixels", "terms": ("match",), "targets": "mine"}
    batch = collate_batch(
        [encode_sample("a", None, (grid,), tiny_views(sample, VLM), **settings)], row_tokens=8
    )
    assert batch.packed.query_S.numel() == 0
    assert batch.targets == ("mine",)
    assert batch.counts == {}
    assert VLM(batch, frozenset({"visual"})).visual_ND.shape == (16, 32)
