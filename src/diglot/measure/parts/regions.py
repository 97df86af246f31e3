"""Region matching and naming from an object's visual tokens alone: [BOS] v_object name.

Protocol of our own, after the entity loss of MMCS (Eq. 4) turned into a choice.
"""

from dataclasses import dataclass

import numpy as np

from diglot.core.segments import Tokens
from diglot.measure.config import check_scenes
from diglot.measure.plan import Plan, Subject
from diglot.measure.region_questions import RegionQuestions
from diglot.measure.region_texts import ALONE
from diglot.metrics.name_score import Length
from diglot.models.prompt import begin_tokens


@dataclass(frozen=True, kw_only=True)
class Config:
    """Objects asked for by their tokens alone."""

    scenes: int = 96
    """The first so many held-out samples; 0 leaves the measures without a value."""
    length: Length = "calibrated"
    """How names of different length and frequency are compared in naming: sum, mean, pmi or
    calibrated (see metrics/name_score)."""

    def __post_init__(self) -> None:
        check_scenes(self.scenes)


def build(config: Config, *, subject: Subject, generator: np.random.Generator) -> Plan:
    """One question per region: all candidate names behind its tokens."""
    start = Tokens(begin_tokens(subject.options.frame, subject.vlm.language.tokenizer))
    questions = RegionQuestions(subject, config.scenes, config.length, generator, ALONE)
    return questions.plan(lambda patches: (start, patches))
