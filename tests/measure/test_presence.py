import numpy as np
import pytest

from diglot.measure.config import MeasureConfig
from diglot.measure.likelihood import log_likelihoods
from diglot.measure.parts import presence
from diglot.measure.plan import Subject
from diglot.measure.projected import project_samples
from tests.tiny import tiny_sample, tiny_views, tiny_vlm

CONFIG = MeasureConfig(bootstrap_draws=50)
MANY = tuple(f"{colour} {thing}" for colour in ("red", "green", "blue") for thing in "abcdef")


@pytest.fixture(scope="module")
def vlm():
    return tiny_vlm()


@pytest.fixture(scope="module")
def projected(vlm):
    samples = [tiny_sample(i, objects=4, names=MANY) for i in range(12)]
    return project_samples(vlm, samples, lambda s: tiny_views(s, vlm), views_are="pixels")


def plan_of(vlm, projected, **settings):
    subject = Subject(vlm=vlm, held_out=projected, options=CONFIG)
    config = presence.Config(**settings)
    return presence.build(config, subject=subject, generator=np.random.default_rng(0))


def names_of(vlm, question):
    return [vlm.language.tokenizer.decode(ids).strip() for ids in question.candidates]


def test_a_model_that_sees_what_is_there_gets_all(vlm, projected):
    plan = plan_of(vlm, projected)
    answers = []
    for question in plan.questions[:-1]:
        shown = {region.name for region in question.projected.sample.regions}
        # Names differ a lot in how likely they are anyway: the prior must take it away.
        answers.append(
            np.array([(n in shown) - 9.0 * MANY.index(n) for n in names_of(vlm, question)])
        )
    answers.append(np.array([-9.0 * MANY.index(n) for n in names_of(vlm, plan.questions[-1])]))
    (measure,) = plan.conclude(answers)
    assert measure.estimate.value == measure.estimate.low == 1.0
    assert set(measure.groups) == {
        "pictures seen in training (emoji)",
        "unseen instances (cifar10)",
    }
    assert all(group.value == 1.0 for group in measure.groups.values())


def test_a_model_that_ignores_the_image_gets_one_half(vlm, projected):
    plan = plan_of(vlm, projected)
    prior = {n: 0.1 * i for i, n in enumerate(names_of(vlm, plan.questions[-1]))}
    likes = [np.array([prior[n] ** 2 for n in names_of(vlm, q)]) for q in plan.questions]
    (measure,) = plan.conclude(likes)
    assert measure.estimate.value == pytest.approx(0.5) == measure.chance


def test_every_scene_is_asked_for_as_many_absent_as_present_names(vlm, projected):
    plan = plan_of(vlm, projected)
    assert len(plan.questions) == 12 + 1
    for question in plan.questions[:-1]:
        shown = {region.name for region in question.projected.sample.regions}
        assert len(question.candidates) == 8
        assert sum(name in shown for name in names_of(vlm, question)) == 4
    (measure,) = plan.conclude([np.zeros(len(q.candidates)) for q in plan.questions])
    assert measure.estimate.n == 12 * 8
    assert measure.details["names without a matched absence"] == 0


def test_score_is_what_the_image_adds(vlm, projected):
    plan = plan_of(vlm, projected[:2])
    answers = log_likelihoods(vlm, plan.questions, row_tokens=128, batch_tokens=500)
    (measure,) = plan.conclude(answers)
    prior = dict(zip(names_of(vlm, plan.questions[-1]), answers[-1], strict=True))
    yes, no = [], []
    for question, answer in zip(plan.questions, answers[:-1], strict=False):
        shown = {region.name for region in question.projected.sample.regions}
        for name, log_prob in zip(names_of(vlm, question), answer, strict=True):
            (yes if name in shown else no).append(log_prob - prior[name])
    assert measure.estimate.value == pytest.approx(np.mean([y > n for y in yes for n in no]))


def test_no_scenes_and_nothing_to_ask_is_not_measured(vlm, projected):
    for plan in (
        plan_of(vlm, projected, scenes=0),
        plan_of(
            vlm,
            project_samples(
                vlm, [tiny_sample(0)], lambda s: tiny_views(s, vlm), views_are="pixels"
            ),
        ),
    ):
        assert plan.questions == ()
        assert plan.conclude([])[0].estimate.value is None
