"""SEA's contrast equals the slow loop; one pair a label; mistakes are named; it can be learned."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from diglot.core.batch import Batch, ForwardOutput
from diglot.core.errors import ConfigError
from diglot.core.patch_labels import PatchLabels
from diglot.data.collate import collate_batch, encode_sample
from diglot.objectives.token_contrastive import (
    Config,
    LabelledToken,
    TokenContrastiveObjective,
    build,
)
from tests.objectives.sea_batches import GRID, WORDS, alone, batch_of, labelled, pair
from tests.objectives.sea_naive import naive_losses, one_per_label
from tests.tiny import tiny_sample, tiny_tokenizer, tiny_views, tiny_vlm


def placed(batch: Batch) -> list[tuple[int, LabelledToken]]:
    return [(16 * image, pair) for image, pairs in enumerate(batch.targets) for pair in pairs or ()]


def out_of(images: int, seed: int, width: int = 5) -> ForwardOutput:
    random = torch.Generator().manual_seed(seed)
    visual, words = (
        torch.randn(rows, width, generator=random, dtype=torch.float64).requires_grad_()
        for rows in (16 * images, len(tiny_tokenizer()))
    )
    return ForwardOutput(visual_ND=visual, words_VD=words)


def objective_of(**options: Any) -> TokenContrastiveObjective:
    objective = build(Config(**options))
    objective.heads.double()
    return objective


images = st.lists(
    st.none()
    | st.lists(
        st.tuples(st.integers(0, 15), st.sampled_from(WORDS)), max_size=5, unique_by=lambda p: p[0]
    ),
    min_size=1,
    max_size=3,
)


@given(images, st.integers(0, 2**31), st.floats(-1, 4), st.sampled_from(["process", "gathered"]))
@settings(max_examples=25, deadline=None)
def test_loss_and_gradients_are_those_of_the_loop(images, seed, log_scale, negatives):
    keys = iter(torch.randperm(99, generator=torch.Generator().manual_seed(seed)).tolist())
    targets = [
        None if pairs is None else tuple(pair(v, label, next(keys)) for v, label in pairs)
        for pairs in images
    ]
    objective = objective_of(logit_scale_init=log_scale, negatives=negatives)
    batch = objective.select(batch_of(targets), alone)
    expected_pairs = one_per_label(placed(batch_of(targets)))
    assert placed(batch) == expected_pairs
    assert batch.counts == {"contrast": len(expected_pairs)}

    out = out_of(len(images), seed)
    assert out.visual_ND is not None
    assert out.words_VD is not None
    learn = [out.visual_ND, out.words_VD, objective.heads.log_scale]
    total = objective.loss(out, batch).sums["contrast"]
    naive = sum(naive_losses(expected_pairs, *learn), torch.zeros((), dtype=torch.float64))
    assert total.item() == pytest.approx(naive.item(), abs=1e-6)
    got = torch.autograd.grad(total, learn)  # all are in the graph, also where nothing is learned
    connected = naive + sum((p.sum() * 0 for p in learn), torch.zeros(()))
    for mine, theirs in zip(got, torch.autograd.grad(connected, learn), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-6, atol=1e-6)


def test_a_single_pair_costs_nothing():
    objective = objective_of()
    total = objective.loss(out_of(1, 0), batch_of([(pair(3, "dog", 0),)])).sums["contrast"]
    assert total.item() == 0.0


def test_the_lowest_key_of_all_processes_stays():
    mine = batch_of([(pair(0, "dog", 5), pair(1, "cat", 1)), None, (pair(2, "cat", 0),)])
    theirs = [(pair(0, "dog", 4).ids, 4), (pair(0, "frog", 0).ids, 0)]
    gathered = objective_of(negatives="gathered").select(mine, lambda own: [own, theirs])
    assert gathered.targets == ((), None, (pair(2, "cat", 0),))
    assert gathered.counts == {"contrast": 1}

    def never(own: Any) -> list[Any]:
        raise AssertionError("process negatives ask nobody")

    kept = objective_of(negatives="process").select(mine, never)
    assert kept.targets == ((pair(0, "dog", 5),), None, (pair(2, "cat", 0),))


def test_a_sample_that_comes_twice_counts_once():
    twice = (pair(0, "dog", 7), pair(5, "cat", 3))
    chosen = objective_of().select(batch_of([twice, twice]), alone)
    assert chosen.targets == (twice, ())


def test_prepare_draws_a_label_per_window():
    sample = labelled(tiny_sample(0))
    objective = build(Config(labels_kept=2))
    prepared = objective.prepare(
        sample, (GRID,), tiny_tokenizer(), torch.Generator().manual_seed(0)
    )
    assert prepared.sequence is None
    assert prepared.counts == {"contrast": 4}
    assert sample.patch_labels is not None
    for drawn in prepared.targets:
        assert drawn.label in sample.patch_labels.words[drawn.visual][:2]
        assert tiny_tokenizer().decode(drawn.ids).strip() == drawn.label
    again = objective.prepare(sample, (GRID,), tiny_tokenizer(), torch.Generator().manual_seed(0))
    assert again == prepared


def test_only_the_best_labels_are_drawn():
    sample, objective = labelled(tiny_sample(0)), build(Config(labels_kept=1, window=1))
    prepared = objective.prepare(
        sample, (GRID,), tiny_tokenizer(), torch.Generator().manual_seed(0)
    )
    assert sample.patch_labels is not None
    best = [words[0] for words in sample.patch_labels.words]
    assert [drawn.label for drawn in prepared.targets] == best


def test_what_has_no_words_is_noted():
    none = PatchLabels(cells_M4=GRID.cells_P4, words=((),) * 16, scores=((),) * 16)
    blank = PatchLabels(cells_M4=GRID.cells_P4, words=((" ",),) * 16, scores=((1.0,),) * 16)
    for labels, note in (
        (none, ("image without a patch label", 1)),
        (blank, ("label without tokens", 4)),
    ):
        sample = replace(tiny_sample(0), patch_labels=labels)
        prepared = build(Config()).prepare(sample, (GRID,), tiny_tokenizer(), torch.Generator())
        assert prepared.targets == ()
        assert prepared.counts == {"contrast": 0}
        assert note in prepared.notes.items()


def test_labels_must_have_been_made():
    with pytest.raises(ConfigError, match="diglot label"):
        build(Config()).prepare(tiny_sample(0), (GRID,), tiny_tokenizer(), torch.Generator())


@pytest.mark.parametrize(
    "wrong",
    [{"window": 0}, {"labels_kept": 0}, {"max_logit_scale": 0.0}, {"logit_scale_init": 5.0}],
)
def test_settings_that_cannot_work(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Config(**wrong)


def test_the_scale_learns_up_to_its_maximum():
    objective = objective_of(logit_scale_init=math.log(9.9), max_logit_scale=10.0)
    batch = batch_of([(pair(0, "dog", 0), pair(1, "cat", 1))])
    out = ForwardOutput(
        visual_ND=torch.eye(16, dtype=torch.float64),
        words_VD=torch.zeros(len(tiny_tokenizer()), 16),
    )
    assert out.words_VD is not None
    for visual in (0, 1):  # each label already is what its token says
        for token in batch.targets[0][visual].ids:
            out.words_VD[token, visual] = 1.0
    optimizer = torch.optim.SGD(objective.heads.parameters(), lr=1e5)
    scales = []
    for _ in range(3):
        terms = objective.loss(out, batch)
        scales.append(terms.logs["logit_scale"])
        optimizer.zero_grad()
        terms.sums["contrast"].backward()
        optimizer.step()
    assert scales == [pytest.approx(9.9), pytest.approx(10.0), pytest.approx(10.0)]


def test_a_fixed_scale_does_not_learn():
    objective = objective_of(learn_scale=False)
    assert not any(p.requires_grad for p in objective.heads.parameters())
    batch = batch_of([(pair(0, "dog", 0), pair(1, "cat", 1))])
    objective.loss(out_of(1, 0), batch).sums["contrast"].backward()
    assert objective.heads.log_scale.grad is None


def test_two_samples_can_be_learned():
    vlm, objective = tiny_vlm(), build(Config(window=1))
    encoded = []
    for seed in (0, 1):
        sample = labelled(tiny_sample(seed), seed=seed)
        grid = vlm.token_grid(sample.size_hw)
        rng = torch.Generator().manual_seed(seed)
        prepared = objective.prepare(sample, (grid,), vlm.language.tokenizer, rng)
        views = tiny_views(sample, vlm)
        encoded.append(
            encode_sample(
                sample.id,
                None,
                (grid,),
                views,
                views_are="pixels",
                terms=objective.terms,
                targets=prepared.targets,
            )
        )
    batch = objective.select(collate_batch(encoded, row_tokens=64), alone)
    pairs = batch.counts["contrast"]
    assert pairs > 4
    vlm.requires_grad_(False)
    vlm.projector.requires_grad_(True)
    learn = [*vlm.projector.parameters(), *objective.heads.parameters()]
    optimizer = torch.optim.Adam(learn, lr=1e-2)
    means = []
    for _ in range(150):
        total = objective.loss(vlm(batch, objective.reads), batch).sums["contrast"] / pairs
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        means.append(total.item())
    assert means[0] == pytest.approx(math.log(pairs), abs=0.5)
    assert means[-1] < 0.1 * means[0]
    assert all(p.grad is None for p in vlm.language.parameters())
