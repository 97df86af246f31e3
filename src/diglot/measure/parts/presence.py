"""Image-level object presence: does the whole image make the names of what it shows likelier?

Source: POPE (Li et al. 2023, arXiv 2305.10355), whose absent objects are matched to the present
ones in frequency. Here the match is exact (see metrics/matched_negatives), and the answer is a
likelihood, since a model after pretraining alone does not answer questions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from diglot.core.result import Estimate, Measure
from diglot.core.segments import Tokens
from diglot.measure.config import MeasureConfig, check_scenes
from diglot.measure.groups import by_group, group_of
from diglot.measure.likelihood import LikelihoodQuestion, without_image
from diglot.measure.plan import Answers, Plan, Subject
from diglot.measure.projected import ProjectedSample
from diglot.metrics.auc import auc_interval
from diglot.metrics.matched_negatives import PresenceQuestion, match_negatives
from diglot.models.prompt import open_segments, tokenize_caption
from diglot.models.words import label_ids

WHAT = (
    "Does the picture show the thing? The score of a name is how much the whole image raises its "
    "log-probability behind the same words without the image. Every present name is also asked "
    "where it is absent, exactly as often, and every image has as many absent as present "
    "questions of each kind (unseen photograph, drawing): a model that ignores the image, or that "
    "likes some names or images better, gets one half. The value is the area under the ROC curve, "
    "ties a half. The sentence is new to both objectives, but image, newline, text is how "
    "captions are trained: it leans to caption, which learns to name objects from the whole image "
    "alone; code-switching names an object only after its own tokens."
)


@dataclass(frozen=True)
class Scored:
    """A question with the model's answer: how many nats the image adds to the name."""

    asked: PresenceQuestion
    gain: float


@dataclass(frozen=True, kw_only=True)
class Config:
    """Names asked of whole images."""

    scenes: int = 64
    """The first so many held-out samples; 0 leaves the measure without a value."""
    prompt: str = "Somewhere in this picture you can see a"
    """Behind the image and before a name."""

    def __post_init__(self) -> None:
        check_scenes(self.scenes)


def build(config: Config, *, subject: Subject, generator: np.random.Generator) -> Plan:
    """One question per scene with all its names, present and absent; last, all without image."""
    vlm, options = subject.vlm, subject.options
    scenes = subject.held_out[: config.scenes]
    present = [_list_present(scene, projected) for scene, projected in enumerate(scenes)]
    matched = match_negatives([ask for asks in present for ask in asks], generator)
    by_scene = {
        scene: [a for a in matched.asked if a.scene == scene] for scene in range(len(scenes))
    }
    by_scene = {scene: asks for scene, asks in by_scene.items() if asks}
    names = list(dict.fromkeys(ask.name for ask in matched.asked))
    ids = {name: label_ids(name, vlm.language.tokenizer) for name in names}
    tokenizer = vlm.language.tokenizer
    prompt = Tokens(tokenize_caption(config.prompt, tokenizer).ids)
    trunk = (*open_segments(options.frame, tokenizer, image=True), prompt)
    questions = [
        LikelihoodQuestion(trunk, tuple(ids[ask.name] for ask in asks), scenes[scene])
        for scene, asks in by_scene.items()
    ]
    if questions:
        questions.append(without_image(LikelihoodQuestion(trunk, tuple(ids.values()))))

    def conclude(answers: Answers) -> list[Measure]:
        prior = dict(zip(names, answers[-1], strict=True)) if answers else {}
        scored = [
            Scored(ask, float(log_prob - prior[ask.name]))
            for asks, answer in zip(by_scene.values(), answers, strict=False)
            for ask, log_prob in zip(asks, answer, strict=True)
        ]
        return [_make_measure(scored, matched.left_out, options, generator)]

    return Plan("object presence", tuple(questions), conclude)


def _list_present(scene: int, projected: ProjectedSample) -> list[PresenceQuestion]:
    """The scene's names, each once, with the kind of its first region."""
    kinds: dict[str, str] = {}
    for region in projected.sample.regions:
        kinds.setdefault(region.name, group_of(region.source))
    return [PresenceQuestion(scene, name, kind, present=True) for name, kind in kinds.items()]


def _make_measure(
    scored: Sequence[Scored],
    left_out: int,
    options: MeasureConfig,
    generator: np.random.Generator,
) -> Measure:
    def area(indices: Sequence[int]) -> Estimate:
        chosen = [scored[i] for i in indices]
        return auc_interval(
            [s.gain for s in chosen],
            [s.asked.present for s in chosen],
            [s.asked.scene for s in chosen],
            generator=generator,
            draws=options.bootstrap_draws,
        )

    return Measure(
        key="presence_auc",
        title="Object presence",
        what=WHAT,
        unit="AUC",
        higher_is_better=True,
        chance=0.5,
        estimate=area(range(len(scored))),
        groups=by_group([s.asked.kind for s in scored], area),
        details={"names without a matched absence": left_out},
    )
