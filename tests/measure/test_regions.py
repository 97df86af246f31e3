import numpy as np
import pytest

from diglot.core.preprocess import Preprocess
from diglot.core.segments import Image, Patches, Tokens
from diglot.measure.config import MeasureConfig
from diglot.measure.likelihood import log_likelihoods
from diglot.measure.parts import regions, regions_unseen_prompt
from diglot.measure.plan import Subject
from diglot.measure.projected import object_tokens, project_samples
from diglot.metrics.name_score import LENGTHS, name_scores
from diglot.models.words import label_ids
from tests.tiny import NAMES, tiny_sample, tiny_views, tiny_vlm

CONFIG = MeasureConfig(bootstrap_draws=50)


@pytest.fixture(scope="module")
def vlm():
    return tiny_vlm()


@pytest.fixture(scope="module")
def projected(vlm):
    samples = [tiny_sample(i, objects=3) for i in range(4)]
    return project_samples(vlm, samples, lambda s: tiny_views(s, vlm), views_are="pixels")


def plan_of(part, vlm, held_out, names, **settings):
    subject = Subject(vlm=vlm, held_out=held_out, names=names, options=CONFIG)
    return part.build(part.Config(**settings), subject=subject, generator=np.random.default_rng(0))


def knowing(vlm, plan, projected, names):
    """Answers of a model that knows every object: its own name is far likelier."""
    asked = list(dict.fromkeys(names))
    shown = [region for one in projected for region in one.sample.regions]
    answers = [
        np.array([-1.0 if name == r.name else -50.0 for name in asked])
        for r in shown[: len(plan.questions)]
    ]
    return [*answers, np.full(len(asked), -20.0)]


@pytest.mark.parametrize("part", [regions, regions_unseen_prompt])
def test_a_model_that_knows_gets_all_and_a_blind_one_gets_chance(vlm, projected, part):
    plan = plan_of(part, vlm, projected, NAMES)
    for measure in plan.conclude(knowing(vlm, plan, projected, NAMES)):
        assert measure.estimate.value == measure.estimate.low == 1.0
        assert measure.estimate.n == 12
    blind = [np.zeros(len(q.candidates)) for q in plan.questions]
    matching, naming = plan.conclude(blind)
    assert matching.estimate.value == pytest.approx(matching.chance) == pytest.approx(1 / 3)
    assert naming.estimate.value == pytest.approx(naming.chance) == pytest.approx(1 / len(NAMES))


def test_alone_asks_with_the_objects_tokens_and_nothing_else(vlm, projected):
    plan = plan_of(regions, vlm, projected, NAMES)
    question, region = plan.questions[1], projected[0].sample.regions[1]
    bos = vlm.language.tokenizer.bos_token_id
    assert question.trunk == (Tokens((bos,)), Patches(object_tokens(projected[0].grid, region)))
    assert question.candidates == tuple(label_ids(name, vlm.language.tokenizer) for name in NAMES)
    assert plan.questions[-1].trunk == (Tokens((bos,)),)
    assert len(plan.questions) == 12 + 1


def test_unseen_prompt_has_the_image_and_the_sentence(vlm, projected):
    plan = plan_of(regions_unseen_prompt, vlm, projected, NAMES)
    kinds = [type(segment) for segment in plan.questions[0].trunk]
    assert kinds == [Tokens, Image, Tokens, Tokens, Patches, Tokens]
    text = [s.ids for s in plan.questions[-1].trunk if isinstance(s, Tokens)]
    prompt = vlm.language.tokenizer.decode([token for ids in text for token in ids])
    assert prompt == "<|bos|>\nHere is one part of the picture: It shows a"


@pytest.mark.parametrize("length", LENGTHS)
def test_ways_to_compare_names(vlm, projected, length):
    plan = plan_of(regions, vlm, projected, NAMES, length=length)
    answers = log_likelihoods(vlm, plan.questions, row_tokens=128, batch_tokens=500)
    matching, naming = plan.conclude(answers)
    lengths = np.array([len(label_ids(name, vlm.language.tokenizer)) for name in NAMES])
    score = name_scores(np.array(answers[:-1]), answers[-1], lengths, length)
    right = [r.name for one in projected for r in one.sample.regions]
    hits = [NAMES[i] == name for i, name in zip(score.argmax(axis=1), right, strict=True)]
    assert naming.estimate.value == pytest.approx(np.mean(hits))
    assert naming.details[f"accuracy, {length}"] == naming.estimate.value
    assert {f"accuracy, {how}" for how in LENGTHS} <= set(naming.details)
    assert matching.estimate.n == 12


def test_names_beyond_the_candidates_are_matched_but_not_named(vlm, projected):
    plan = plan_of(regions, vlm, projected, NAMES[:2])
    answers = [np.zeros(len(q.candidates)) for q in plan.questions]
    matching, naming = plan.conclude(answers)
    assert matching.estimate.n == 12
    named = sum(r.name in NAMES[:2] for one in projected for r in one.sample.regions)
    assert naming.estimate.n == named
    assert naming.details["regions of another name"] == 12 - named


def test_objects_outside_the_views_are_counted_and_none_at_all_is_not_measured():
    vlm = tiny_vlm(preprocess=Preprocess(mode="center_crop", image_px=32))
    samples = [tiny_sample(i, objects=3, size_hw=(32, 400)) for i in range(4)]
    projected = project_samples(vlm, samples, lambda s: tiny_views(s, vlm), views_are="pixels")
    outside = sum(not object_tokens(s.grid, r) for s in projected for r in s.sample.regions)
    assert outside > 0
    plan = plan_of(regions, vlm, projected, NAMES)
    matching, _ = plan.conclude([np.zeros(len(q.candidates)) for q in plan.questions])
    assert matching.details["regions without visual tokens"] == outside
    empty = plan_of(regions, vlm, projected, NAMES, scenes=0)
    assert empty.questions == ()
    assert [m.estimate.value for m in empty.conclude([])] == [None, None]
