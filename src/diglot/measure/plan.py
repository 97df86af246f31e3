"""A measure before its forward passes: what it asks of the model, and what it makes of the answers.

A measure is a file of `measure/parts` with a frozen dataclass `Config` and
`build(config, *, subject, generator)`, which returns a `Plan` (it asks how likely texts are) or a
`Pass` (it runs the model by itself). All are planned first, so the cost is known at the start.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from diglot.core.result import Measure
from diglot.measure.config import MeasureConfig
from diglot.measure.likelihood import LikelihoodQuestion
from diglot.measure.projected import ProjectedSample
from diglot.models.vlm import VLM

Answers = Sequence[np.ndarray]


class NotFiniteError(ValueError):
    """A model gave values that are not finite; what is asked of it is then not measured."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A model, the held-out samples it is measured on, and the options of measuring."""

    vlm: VLM
    held_out: Sequence[ProjectedSample]
    training: Sequence[ProjectedSample] = ()  # serves the choice of a threshold alone
    names: Sequence[str] = ()  # candidates of naming, distinct
    options: MeasureConfig


@dataclass(frozen=True)
class Plan:
    """Questions, and the measures that their answers (log-likelihoods, same order) give."""

    what: str  # for the progress display
    questions: tuple[LikelihoodQuestion, ...]
    conclude: Callable[[Answers], list[Measure]]

    @property
    def tokens(self) -> int:
        """Positions that the LLM computes."""
        return sum(question.tokens for question in self.questions)


@dataclass(frozen=True)
class Pass:
    """A measure that runs the model by itself; `run(done)` calls done(tokens) after every batch."""

    what: str
    tokens: int  # positions that the LLM computes
    run: Callable[[Callable[[int], None]], list[Measure]]
