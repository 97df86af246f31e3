"""The A score: how likely a frozen LLM finds captions behind an encoder's projected images.

"Law of Vision Representation in MLLMs", section 3.2: of an image and its caption,
A = 1/T * sum over t of log P(y_t | f(I), y_<t), f the encoder and its stage-1 projector; of a
setting, the mean of A over images (section 5.2). The paper does not say whether the end of the
text counts as a token of the caption: here it does not, unless asked for.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch

from diglot.config.ranges import Seed
from diglot.core.errors import ConfigError, DataError
from diglot.core.progress import Progress, Report, ignore_progress
from diglot.core.result import Estimate
from diglot.core.rng import check_seed
from diglot.core.segments import Tokens
from diglot.core.types import Sample
from diglot.data.rejected import Rejection, rejection_of
from diglot.measure.a_score_captions import Captions
from diglot.measure.likelihood import LikelihoodQuestion, log_likelihoods
from diglot.measure.projected import ProjectedSample, eval_mode, project_samples
from diglot.metrics.bootstrap import mean_interval, ratio_interval
from diglot.models.config import Frame
from diglot.models.prompt import end_segments, open_segments
from diglot.models.vlm import VLM

ROW_TOKENS, BATCH_TOKENS = 256, 1024  # of a forward pass; they change no figure


@dataclass(frozen=True, kw_only=True)
class AScoreConfig:
    """What an A score is taken over."""

    images: int = 100
    """Drawn at random from the data; fewer where it has fewer."""
    average: Literal["images", "tokens"] = "images"
    """images: the mean of each caption's mean, the paper's formula; tokens: over all tokens of all
    captions, so that long captions count more."""
    end: bool = False
    """Count the end of the text as a token of the caption, as the training loss does."""
    frame: Frame = field(default_factory=Frame)
    """The text around image and caption: as the projector was trained with."""
    seed: Seed = 0
    """Of the images and of the interval."""
    bootstrap_draws: int = 1000
    """Images are drawn again so many times for the interval."""

    def __post_init__(self) -> None:
        for name in ("images", "bootstrap_draws"):
            if getattr(self, name) < 1:
                raise ConfigError("must be at least 1", got=getattr(self, name), where=name)
        check_seed(self.seed)


@dataclass(frozen=True, kw_only=True)
class AScore:
    """An A score in nats per token, at most 0; n is the number of images."""

    estimate: Estimate
    tokens: int  # of all captions
    visual_tokens: float  # per image, on average


def a_score(
    vlm: VLM,
    captions: Captions,
    views: Callable[[Sample], Sequence[torch.Tensor]],
    config: AScoreConfig,
    *,
    note: Callable[[Rejection], object] = lambda rejection: None,
    report: Report = ignore_progress,
) -> AScore:
    """The A score of a model on captions; `views(sample)` gives cached features of its image.

    Progress is counted in images. An image whose features or visual tokens are not finite is left
    out, and `note` gets it. Raises DataError where none is left, for an image that cannot be used
    or a caption that does not fit behind it.
    """
    with eval_mode(vlm):
        questions = _make_questions(vlm, captions, views, config, note)
        counted = _Images(questions, report)
        answers = log_likelihoods(
            vlm, questions, row_tokens=ROW_TOKENS, batch_tokens=BATCH_TOKENS, done=counted
        )
    log_prob_N = [float(answer[0]) for answer in answers]
    tokens_N = [len(question.candidates[0]) for question in questions]
    return AScore(
        estimate=average_score(log_prob_N, tokens_N, config),
        tokens=sum(tokens_N),
        visual_tokens=float(np.mean([len(q.projected.grid) for q in questions if q.projected])),
    )


def average_score(
    log_prob_N: Sequence[float], tokens_N: Sequence[int], config: AScoreConfig
) -> Estimate:
    """The score of N captions of known summed log-probabilities and lengths, with its interval."""
    rng = np.random.default_rng(config.seed)
    log_probs, tokens = np.asarray(log_prob_N, np.float64), np.asarray(tokens_N, np.float64)
    options = {"generator": rng, "draws": config.bootstrap_draws}
    if config.average == "tokens":
        return ratio_interval(log_probs, tokens, range(len(tokens)), **options)
    return mean_interval(log_probs / tokens, range(len(tokens)), **options)


def _make_questions(
    vlm: VLM,
    captions: Captions,
    views: Callable[[Sample], Sequence[torch.Tensor]],
    config: AScoreConfig,
    note: Callable[[Rejection], object],
) -> list[LikelihoodQuestion]:
    tokenizer = vlm.language.tokenizer
    trunk = tuple(open_segments(config.frame, tokenizer, image=True))
    end = end_segments(config.frame, tokenizer, None) if config.end else []
    added = tuple(t for segment in end if isinstance(segment, Tokens) for t in segment.ids)
    projected = project_samples(vlm, captions.samples, views)
    pairs = [
        (LikelihoodQuestion(trunk, (tokens + added,), image), image)
        for tokens, image in zip(captions.tokens, projected, strict=True)
        if _is_finite(image, note)
    ]
    if not pairs:
        raise DataError("visual tokens are not finite", got=f"those of all {len(projected)} images")
    for question, image in pairs:
        if question.tokens > vlm.language.max_length:
            raise DataError(
                "image and caption are longer than the language model reads",
                expected=f"at most {vlm.language.max_length} tokens",
                got=question.tokens,
                where=f"sample {image.sample.id!r}",
            )
    return [question for question, _ in pairs]


def _is_finite(image: ProjectedSample, note: Callable[[Rejection], object]) -> bool:
    """Whether an image can be asked about; one that cannot takes its neighbours' pass along."""
    if not image.finite:
        error = DataError("visual tokens are not finite", where=f"sample {image.sample.id!r}")
        note(rejection_of(image.sample.id, error))
    return image.finite


class _Images:
    """Counts tokens and reports images."""

    def __init__(self, questions: Sequence[LikelihoodQuestion], report: Report) -> None:
        self._ends = np.cumsum([question.tokens for question in questions])
        self._report, self._tokens = report, 0

    def __call__(self, tokens: int) -> None:
        self._tokens += tokens
        images = int(np.searchsorted(self._ends, self._tokens, side="right"))
        self._report(Progress("A score", images, len(self._ends)))
