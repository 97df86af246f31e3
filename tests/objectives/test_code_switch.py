"""Code-switching equals MMCS's definition, loss and gradient, however it is packed."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from diglot.core.errors import ConfigError, DataError
from diglot.core.preprocess import Preprocess
from diglot.core.segments import Branch, Patches, Tokens
from diglot.core.types import Region, Sample
from diglot.data.collate import collate_batch, encode_sample
from diglot.models.vlm import VLM
from diglot.objectives import caption, code_switch
from tests.objectives.naive import naive_losses, random_sample_boxes
from tests.tiny import tiny_sample, tiny_views, tiny_vlm

KINDS = ("llama", "qwen2", "qwen3")
CAPTION = "a red dog cat beside a small guitar, the dog and a very small frog."
PHRASES = {  # what is switched: (phrase, start) pairs
    "none": [],
    "one": [("red dog", 2)],
    "adjacent": [("red dog", 2), ("cat", 10)],
    "overlapping": [("red dog", 2), ("dog cat", 6), ("small guitar", 23)],
    "nested": [("small frog", 56), ("very small frog", 51)],
    "repeated": [("dog", 6), ("dog", 41)],
    "many": [("a red dog", 0), ("cat", 10), ("a small guitar", 21), ("the dog", 37), ("frog.", 62)],
}


def sample_with(case: str, seed: int) -> Sample:
    """The caption with the case's phrases as regions, at random boxes and scores."""
    rng = np.random.default_rng(seed)
    picture = tiny_sample(seed, objects=1)
    regions = tuple(
        Region(
            phrase=phrase,
            span=(start, start + len(phrase)),
            box=random_sample_boxes(rng, picture.size_hw),  # type: ignore[arg-type]
            score=float(rng.uniform()),
        )
        for phrase, start in PHRASES[case]
    )
    return Sample.captioned(
        id=f"{case}/{seed}",
        image=picture.image,
        size_hw=picture.size_hw,
        caption=CAPTION,
        regions=regions,
    )


def batch_of(vlm: VLM, objective, samples, *, row_tokens: int):
    encoded = []
    for sample in samples:
        grid = vlm.token_grid(sample.size_hw)
        prepared = objective.prepare(sample, (grid,), vlm.language.tokenizer, torch.Generator())
        encoded.append(
            encode_sample(
                sample.id,
                prepared.sequence,
                (grid,),
                views_of(sample, vlm),
                views_are="pixels",
                terms=objective.terms,
                counts=dict(prepared.counts),
            )
        )
    return collate_batch(encoded, row_tokens=row_tokens)


def views_of(sample: Sample, vlm: VLM) -> tuple[torch.Tensor, ...]:
    return tuple(
        view.to(vlm.language.input_embeddings.weight.dtype) for view in tiny_views(sample, vlm)
    )


def double_vlm(*args, **kwargs) -> VLM:
    """Float64, so that rounding does not hide a small mistake."""
    return tiny_vlm(*args, **kwargs).double()


def gradient(vlm: VLM, loss: torch.Tensor) -> torch.Tensor:
    learn = list(vlm.projector.parameters())
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, learn)])


def naive_total(vlm: VLM, samples, *, prefix: bool = True):
    """Eq. 5 over a batch: each term a mean over its supervised tokens."""
    losses = []
    for sample in samples:
        visual = vlm.project(vlm.features(views_of(sample, vlm)))
        losses.append(naive_losses(vlm, sample, visual, prefix=prefix))
    text = sum(x.text for x in losses) / sum(x.text_tokens for x in losses)
    entities = sum(x.entity_tokens for x in losses)
    entity = sum(x.entity for x in losses) / max(entities, 1)
    return text, entity


def ours_total(vlm: VLM, objective, samples, row_tokens: int):
    batch = batch_of(vlm, objective, samples, row_tokens=row_tokens)
    terms = objective.loss(vlm(batch, objective.reads), batch)
    counts = batch.counts
    return tuple(
        terms.sums[t] / max(counts.get(t, 0), 1) if t in terms.sums else torch.zeros(())
        for t in ("text", "entity")
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", PHRASES)
def test_branches_equal_one_forward_per_entity(kind, case):
    vlm = double_vlm(kind, unshuffle=2, image_px=48)
    objective = code_switch.build(code_switch.Config())
    sample = sample_with(case, seed=1)
    text, entity = ours_total(vlm, objective, [sample], 4096)
    naive_text, naive_entity = naive_total(vlm, [sample])
    torch.testing.assert_close(text, naive_text, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(entity, naive_entity, rtol=1e-6, atol=1e-9)
    ours, naive = gradient(vlm, text + entity), gradient(vlm, naive_text + naive_entity)
    assert (ours - naive).norm() <= 1e-6 * naive.norm()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("row_tokens", [1, 120, 4096])
def test_a_packed_batch_equals_its_samples(kind, row_tokens):
    vlm = double_vlm(kind, image_px=32, preprocess=Preprocess(mode="tiles", image_px=32))
    objective = code_switch.build(code_switch.Config())
    samples = [sample_with(case, seed) for seed, case in enumerate(PHRASES)]
    text, entity = ours_total(vlm, objective, samples, row_tokens)
    naive_text, naive_entity = naive_total(vlm, samples)
    torch.testing.assert_close(text, naive_text, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(entity, naive_entity, rtol=1e-6, atol=1e-9)
    ours, naive = gradient(vlm, text + entity), gradient(vlm, naive_text + naive_entity)
    assert (ours - naive).norm() <= 1e-6 * naive.norm()


def test_without_image_prefix():
    vlm = double_vlm("llama", image_px=48)
    objective = code_switch.build(code_switch.Config(image_prefix=False))
    samples = [sample_with(case, seed) for seed, case in enumerate(PHRASES)]
    text, entity = ours_total(vlm, objective, samples, 256)
    naive_text, naive_entity = naive_total(vlm, samples, prefix=False)
    torch.testing.assert_close(text, naive_text, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(entity, naive_entity, rtol=1e-6, atol=1e-9)


def test_no_regions_is_the_caption_loss():
    vlm = double_vlm("qwen2")
    sample = sample_with("none", seed=3)
    switched, _ = ours_total(vlm, code_switch.build(code_switch.Config()), [sample], 256)
    captioned, _ = ours_total(vlm, caption.build(caption.Config()), [sample], 256)
    assert switched.item() == captioned.item()


@pytest.mark.parametrize("kind", KINDS)
def test_the_caption_loss_is_a_plain_forward_of_each_sample(kind):
    vlm = double_vlm(kind, preprocess=Preprocess(mode="tiles", image_px=32))
    samples = [sample_with("none", seed) for seed in range(3)]
    samples[1] = replace(samples[1], caption="a")  # unlike numbers of learned tokens
    captioned, _ = ours_total(vlm, caption.build(caption.Config()), samples, 256)
    naive, _ = naive_total(vlm, samples)
    torch.testing.assert_close(captioned, naive, rtol=1e-6, atol=1e-9)
    expected = gradient(vlm, naive)
    assert (gradient(vlm, captioned) - expected).norm() <= 1e-6 * expected.norm()


def test_each_weight_of_zero_leaves_its_term_out():
    vlm = double_vlm()
    sample = sample_with("many", seed=2)
    text_only = code_switch.build(code_switch.Config(entity_weight=0))
    entity_only = code_switch.build(code_switch.Config(text_weight=0))
    both = ours_total(vlm, code_switch.build(code_switch.Config()), [sample], 256)
    text, nothing = ours_total(vlm, text_only, [sample], 256)
    assert nothing == 0
    torch.testing.assert_close(text, both[0], rtol=1e-6, atol=1e-9)
    nothing, entity = ours_total(vlm, entity_only, [sample], 256)
    assert nothing == 0
    torch.testing.assert_close(entity, both[1], rtol=1e-6, atol=1e-9)


def prepare(config: code_switch.Config, sample: Sample, vlm: VLM, seed: int = 0):
    rng = torch.Generator().manual_seed(seed)
    objective = code_switch.build(config)
    return objective.prepare(sample, (vlm.token_grid(sample.size_hw),), vlm.language.tokenizer, rng)


def text_of(prepared, vlm: VLM) -> str:
    """The sequence as a person would write it, objects as brackets around their names."""
    said = ""
    for segment in prepared.sequence:
        match segment:
            case Tokens(ids, "text"):
                said += vlm.language.tokenizer.decode(ids)
            case Branch(ids):
                said += f"[{vlm.language.tokenizer.decode(ids)}]"
    return said


def test_the_sequence_reads_as_the_caption_with_entities_switched():
    vlm = tiny_vlm()
    said = text_of(prepare(code_switch.Config(), sample_with("repeated", 0), vlm), vlm)
    assert said.replace("[", "").replace("]", "").removesuffix("<|eos|>") == CAPTION
    assert [part.split("]")[0].strip() for part in said.split("[")[1:]] == ["dog", "dog"]


def with_regions(caption: str, *regions: Region) -> Sample:
    picture = tiny_sample(0, objects=1, size_hw=(48, 48))
    return Sample.captioned(
        id="s", image=picture.image, size_hw=(48, 48), caption=caption, regions=regions
    )


def test_regions_of_the_same_words_are_one_object() -> None:
    """Of "two dogs" with a box each, v_object is the union of both, each token once, in order."""
    vlm = tiny_vlm(image_px=48)
    boxes = ((32.0, 30.0, 47.0, 47.0), (0.0, 0.0, 20.0, 14.0), (4.0, 4.0, 15.0, 20.0))
    scores = (0.2, 0.9, 0.5)
    dogs = [
        Region(phrase="two dogs", span=(0, 8), box=box, score=score)
        for box, score in zip(boxes, scores, strict=True)
    ]
    sample = with_regions("two dogs beside a cat", *dogs)
    grid = vlm.token_grid(sample.size_hw)
    prepared = prepare(code_switch.Config(), sample, vlm)
    (patches,) = [s for s in prepared.sequence if isinstance(s, Patches)]
    assert patches.index == tuple(np.flatnonzero(sum(grid.overlapping(box) for box in boxes)))
    assert len([s for s in prepared.sequence if isinstance(s, Branch)]) == 1
    assert not +Counter(prepared.notes)  # none was left out
    alone = prepare(code_switch.Config(), with_regions(sample.caption, dogs[1]), vlm)
    assert text_of(alone, vlm) == text_of(prepared, vlm)


@pytest.mark.parametrize("phrase", ["red dog ", " red dog", " red dog  "])
def test_a_blank_at_the_end_of_a_span_takes_no_other_word(phrase: str) -> None:
    vlm, caption = tiny_vlm(), "a small  red dog  cat"
    start = caption.index(phrase)
    box = (0.0, 0.0, 20.0, 20.0)
    region = Region(phrase=phrase, span=(start, start + len(phrase)), box=box)
    prepared = prepare(code_switch.Config(), with_regions(caption, region), vlm)
    (branch,) = [s for s in prepared.sequence if isinstance(s, Branch)]
    assert vlm.language.tokenizer.decode(branch.ids).strip() == "red dog"


def test_of_overlapping_entities_the_better_grounded_stays():
    vlm = tiny_vlm()
    sample = sample_with("nested", seed=0)
    best = max(sample.regions, key=lambda r: r.score)
    prepared = prepare(code_switch.Config(), sample, vlm)
    assert f"[{best.phrase}" in text_of(prepared, vlm).replace("[ ", "[")
    assert prepared.notes["entity overlaps a better one"] == 1


def test_max_objects_keeps_the_best_by_score():
    vlm = tiny_vlm()
    sample = sample_with("many", seed=0)
    prepared = prepare(code_switch.Config(max_objects=2), sample, vlm)
    branches = [s for s in prepared.sequence if isinstance(s, Branch)]
    best = sorted(sample.regions, key=lambda r: -r.score)[:2]
    said = {vlm.language.tokenizer.decode(b.ids).strip(" ,.") for b in branches}
    assert said == {r.phrase.strip(" ,.") for r in best}


def test_replace_probability_draws_from_the_generator():
    vlm = tiny_vlm()
    sample = sample_with("many", seed=0)

    def switched(seed: int) -> int:
        prepared = prepare(code_switch.Config(replace_probability=0.3), sample, vlm, seed)
        return sum(isinstance(s, Patches) for s in prepared.sequence)

    counts = [switched(seed) for seed in range(200)]
    assert counts == [switched(seed) for seed in range(200)]
    assert np.mean(counts) / len(sample.regions) == pytest.approx(0.3, abs=0.06)


@pytest.mark.parametrize(
    ("views", "kinds"), [("thumbnail", {"thumbnail"}), ("tiles", {"tile"}), ("all", None)]
)
def test_object_tokens_come_from_the_chosen_views(views, kinds):
    vlm = tiny_vlm(preprocess=Preprocess(mode="tiles", image_px=32))
    sample = sample_with("one", seed=0)
    prepared = prepare(code_switch.Config(object_tokens=views), sample, vlm)
    (patches,) = [s for s in prepared.sequence if isinstance(s, Patches)]
    grid = vlm.token_grid(sample.size_hw)
    found = {grid.views[grid.view_P[i]].kind for i in patches.index}
    assert found == (kinds or {"tile", "thumbnail"})


def test_an_object_outside_the_crop_stays_text():
    vlm = tiny_vlm(preprocess=Preprocess(mode="center_crop", image_px=32))
    wide = tiny_sample(0, objects=1, size_hw=(40, 160))
    region = Region(phrase="dog", span=(2, 5), box=(0.0, 0.0, 20.0, 20.0))
    sample = Sample.captioned(
        id="wide", image=wide.image, size_hw=(40, 160), caption="a dog", regions=(region,)
    )
    prepared = prepare(code_switch.Config(), sample, vlm)
    assert prepared.notes["object outside the views"] == 1
    assert not any(isinstance(s, Patches) for s in prepared.sequence)


def test_nothing_to_learn_is_reported():
    vlm = tiny_vlm()
    with pytest.raises(DataError, match=r"none/0.*nothing to learn"):
        prepare(code_switch.Config(text_weight=0), sample_with("none", 0), vlm)
    with pytest.raises(ConfigError, match="text_weight"):
        code_switch.Config(text_weight=0, entity_weight=0)
    with pytest.raises(ConfigError, match="replace_probability"):
        code_switch.Config(replace_probability=1.5)
