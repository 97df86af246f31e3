"""Held-out caption loss, in nats per token: the counter-measure."""

from dataclasses import dataclass

import numpy as np

from diglot.core.result import Estimate, Measure
from diglot.core.segments import Tokens
from diglot.measure.config import check_scenes
from diglot.measure.likelihood import LikelihoodQuestion
from diglot.measure.plan import Answers, Plan, Subject
from diglot.metrics.nll import nll_interval
from diglot.models.prompt import caption_of, end_segments, open_segments

WHAT = (
    "How well the model predicts the captions of held-out scenes from the whole image: their "
    "negative log-likelihood, in nats per token, all tokens of all captions together, the end "
    "included. It is the very loss that caption is trained on, in its very format, so it leans to "
    "caption and stands here as the counter-measure: code-switching never writes an object's name "
    "from the whole image alone, and its gain elsewhere should not be read without this."
)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Held-out captions."""

    scenes: int = 48
    """The first so many held-out samples; 0 leaves the measure without a value."""

    def __post_init__(self) -> None:
        check_scenes(self.scenes)


def build(config: Config, *, subject: Subject, generator: np.random.Generator) -> Plan:
    """One question per scene: the caption itself."""
    tokenizer, frame = subject.vlm.language.tokenizer, subject.options.frame
    trunk = tuple(open_segments(frame, tokenizer, image=True))
    end = tuple(
        token
        for segment in end_segments(frame, tokenizer, None)
        if isinstance(segment, Tokens)
        for token in segment.ids
    )
    scenes = [
        projected
        for projected in subject.held_out[: config.scenes]
        if projected.sample.caption.strip()
    ]
    texts = [caption_of(projected.sample, tokenizer).ids + end for projected in scenes]
    questions = tuple(
        LikelihoodQuestion(trunk, (ids,), projected)
        for ids, projected in zip(texts, scenes, strict=True)
    )

    def conclude(answers: Answers) -> list[Measure]:
        log_probs = [float(answer[0]) for answer in answers]
        lengths = [len(ids) for ids in texts]
        draws = subject.options.bootstrap_draws
        estimate = nll_interval(
            log_probs, lengths, range(len(texts)), generator=generator, draws=draws
        )
        return [_make_measure(estimate, sum(lengths))]

    return Plan("caption loss", questions, conclude)


def _make_measure(estimate: Estimate, tokens: int) -> Measure:
    return Measure(
        key="caption_nll",
        title="Held-out caption loss",
        what=WHAT,
        unit="nats per token",
        higher_is_better=False,
        chance=None,
        estimate=estimate,
        details={"tokens": tokens},
    )
