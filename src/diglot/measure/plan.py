"""A measure before its forward passes: what it asks the model, and what it makes of the answers.

Measures are planned first and asked afterwards, so that the whole cost is known from the start.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from diglot.core.result import Measure
from diglot.measure.likelihood import Question

Answers = Sequence[np.ndarray]


@dataclass(frozen=True)
class Plan:
    """Questions, and the measures that their answers (log-likelihoods, same order) give."""

    what: str  # for the progress display
    questions: tuple[Question, ...]
    conclude: Callable[[Answers], list[Measure]]

    @property
    def tokens(self) -> int:
        """Positions that the LLM computes."""
        return sum(question.tokens for question in self.questions)
