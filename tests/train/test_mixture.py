"""Objectives together: terms, weights, turns, and what is refused."""

import sys

import pytest
import torch

from diglot.core.errors import ConfigError, DataError
from diglot.data.collate import collate_batch, encode_sample
from diglot.train.mixture import build_mixture
from tests.objectives.sea_batches import labelled
from tests.tiny import tiny_sample, tiny_views, tiny_vlm

OWN = """
from dataclasses import dataclass, replace
import torch
from torch import nn
from diglot.core.types import LossTerms
from diglot.core.objective import Prepared

@dataclass(frozen=True, kw_only=True)
class Config:
    nothing: bool = False

class Size:
    '''Pulls the mean square of visual tokens to a size it learns.'''
    terms, reduction, reads = ("size",), "mean", frozenset({"visual"})
    weights = {"size": 2.0}

    def __init__(self, config):
        self.config, self.heads = config, nn.Linear(1, 1, bias=False)

    def prepare(self, sample, grids, tokenizer, rng):
        (grid,) = grids
        count = 0 if self.config.nothing else len(grid)
        return Prepared(None, targets=len(grid), counts={"size": count}, notes={"seen": 1})

    def select(self, batch, gather):
        kept = [t if t is None else t // 2 for t in batch.targets]
        counts = {"size": float(sum(t or 0 for t in kept))}
        assert gather(counts) == [counts]
        return replace(batch, targets=tuple(kept), counts=counts)

    def loss(self, out, batch):
        total = out.visual_ND.sum() * 0
        for start, count in zip(batch.visual_start, batch.targets):
            rows = out.visual_ND[start : start + (count or 0)]
            total = total + (rows.square().mean(1) - self.heads.weight.sum()).square().sum()
        return LossTerms({"size": total}, {"head": self.heads.weight.item()})

def build(config):
    return Size(config)
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "size.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield {"name": "mine.size"}
    for name in ("mine", "mine.size"):
        sys.modules.pop(name, None)


def batch_of(vlm, mixture, turns, sample_of=tiny_sample):
    encoded = []
    for seed, turn in enumerate(turns):
        sample = sample_of(seed)
        grid, rng = vlm.token_grid(sample.size_hw), torch.Generator()
        made = mixture.prepare(sample, (grid,), vlm.language.tokenizer, rng, stream=turn)
        views = tiny_views(sample, vlm)
        settings = {"views_are": "pixels", "terms": mixture.terms, "targets": made.targets}
        encoded.append(
            encode_sample(
                sample.id, made.sequence, (grid,), views, counts=dict(made.counts), **settings
            )
        )
    return mixture.select(collate_batch(encoded, row_tokens=512), lambda settings: [settings])


def test_a_sum_is_the_sum_of_what_each_gives_alone(own):
    vlm = tiny_vlm()
    both = build_mixture("code_switch", {"size": own | {"weight": 0.5}}, {})
    alone = build_mixture("code_switch", {}, {})
    assert both.terms == ("text", "entity", "size")
    assert both.reads == {"log_probs", "visual"}
    batch, plain = (batch_of(vlm, m, [0, 0, 0]) for m in (both, alone))
    terms = both.loss(vlm(batch, both.reads), batch)
    expected = alone.loss(vlm(plain, alone.reads), plain)
    for name in ("text", "entity"):
        torch.testing.assert_close(terms.sums[name], expected.sums[name])
        assert batch.counts[name] == plain.counts[name]
    assert batch.counts["size"] == 3 * 8  # `select` kept half of 16
    assert terms.logs["head"] == pytest.approx(both.heads["plus_size"].weight.item())
    assert both.weights_at(0) == {"text": 1, "entity": 1, "size": 1.0}  # 0.5 of its own 2.0


@pytest.mark.parametrize(
    ("objective", "plus", "passes"),
    [
        ("caption", {}, 1),
        ("caption", {"patch_aligned": {}, "token_contrastive": {}}, 1),
        ("patch_aligned", {"token_contrastive": {}}, 0),
    ],
)
def test_what_reads_embeddings_alone_adds_no_pass_through_the_llm(
    monkeypatch, objective, plus, passes
):
    vlm, passes_made = tiny_vlm(), []
    decode = vlm.language.decode

    def counted(*args, **kwargs):
        passes_made.append(1)
        return decode(*args, **kwargs)

    monkeypatch.setattr(vlm.language, "decode", counted)
    mixture = build_mixture(objective, plus, {})
    batch = batch_of(vlm, mixture, [0, 0], sample_of=lambda seed: labelled(tiny_sample(seed)))
    sums = mixture.loss(vlm(batch, mixture.reads), batch).sums
    assert all(sums[term].requires_grad and batch.counts[term] for term in mixture.terms)
    assert len(passes_made) == passes


def test_turns_share_a_batch_and_terms_of_one_name_stay_apart():
    vlm = tiny_vlm()
    mixture = build_mixture("caption", {}, {"code_switch": {"share": 0.5, "weight": 3.0}})
    assert mixture.terms == ("text", "code_switch.text", "entity")
    assert mixture.shares == (0.5,)
    batch = batch_of(vlm, mixture, [0, 1, 0, 1])
    terms = mixture.loss(vlm(batch, mixture.reads), batch)
    for name, turn in (("caption", 0), ("code_switch", 1)):
        single = build_mixture(name, {}, {})
        own = [i for i, t in enumerate([0, 1, 0, 1]) if t == turn]
        total = torch.zeros(())
        for seed in own:
            one = batch_of_seed(vlm, single, seed)
            total = total + single.loss(vlm(one, single.reads), one).sums["text"]
        ours = terms.sums["text" if turn == 0 else "code_switch.text"]
        torch.testing.assert_close(ours, total, rtol=1e-5, atol=1e-5)
    assert mixture.weights_at(0.0)["entity"] == 3.0


def batch_of_seed(vlm, mixture, seed):
    sample = tiny_sample(seed)
    grid = vlm.token_grid(sample.size_hw)
    made = mixture.prepare(sample, (grid,), vlm.language.tokenizer, torch.Generator())
    settings = {"views_are": "pixels", "terms": mixture.terms, "targets": made.targets}
    views = tiny_views(sample, vlm)
    encoded = encode_sample(
        sample.id, made.sequence, (grid,), views, counts=dict(made.counts), **settings
    )
    return collate_batch([encoded], row_tokens=512)


def test_a_dummy_batch_teaches_nothing(own):
    from dataclasses import replace

    vlm = tiny_vlm()
    mixture = build_mixture("caption", {"size": own}, {})
    batch = batch_of(vlm, mixture, [0, 0])
    dummy = mixture.select(
        replace(batch, targets=(None, None), counts={}), lambda payload: [payload]
    )
    assert dummy.counts == {"size": 0.0}
    assert mixture.loss(vlm(dummy, mixture.reads), dummy).sums["size"] == 0


def test_schedules_move_each_weight():
    moving = {"schedule": "linear", "start": 0.0, "end": 5.0}
    mixture = build_mixture({"name": "caption", "weight": moving}, {}, {})
    assert [mixture.weights_at(p)["text"] for p in (0, 0.5, 1)] == [0, 2.5, 5]


@pytest.mark.parametrize(
    ("plus", "mix", "message"),
    [
        ({"code_switch": {}}, {}, "take turns instead: mix: {code_switch: {share: 1.0}}"),
        ({"code_swich": {}}, {}, "no part 'code_swich'"),
        ({"code_switch": {"weight": "x"}}, {}, "plus.code_switch.weight"),
        ({"code_switch": {"wieght": 1}}, {}, "unknown field 'wieght'"),
        ({}, {"code_switch": {"share": 0}}, "mix.code_switch.share: not a share"),
        ({"code_switch": {"share": 1}}, {}, "unknown field 'share'"),
        ({"code_switch": 3}, {}, "a part needs its name"),
    ],
)
def test_what_cannot_be_mixed_is_refused(plus, mix, message):
    vlm = tiny_vlm()
    with pytest.raises(ConfigError, match=r"plus|mix|part") as error:
        batch_of(vlm, build_mixture("caption", plus, mix), [0])
    assert message in str(error.value)


def test_one_with_a_sequence_is_not_added_to_one_without(own):
    vlm = tiny_vlm()
    with pytest.raises(ConfigError, match="change places: objective: caption, and the other one"):
        batch_of(vlm, build_mixture(own, {"caption": {}}, {}), [0])


def test_one_without_a_sequence_needs_no_turn(own):
    vlm = tiny_vlm()
    with pytest.raises(ConfigError, match="Add it to the objective instead"):
        batch_of(vlm, build_mixture("caption", {}, {"size": own}), [1])


def test_nothing_to_learn_is_the_records_fault(own):
    vlm = tiny_vlm()
    with pytest.raises(DataError, match="nothing to learn"):
        batch_of(vlm, build_mixture(own | {"nothing": True}, {}, {}), [0])


def test_null_takes_one_away(own):
    assert build_mixture("caption", {"size": None}, {}).terms == ("text",)
