"""Region matching and naming behind the whole image: [BOS] V sentence v_object sentence name.

The sentence is one that no objective was trained on. Protocol of our own, after the entity loss of
MMCS (Eq. 4) turned into a choice.
"""

from dataclasses import dataclass

import numpy as np

from diglot.core.segments import Tokens
from diglot.measure.config import check_scenes
from diglot.measure.plan import Plan, Subject
from diglot.measure.region_questions import RegionQuestions
from diglot.measure.region_texts import UNSEEN_PROMPT
from diglot.metrics.name_score import Length
from diglot.models.prompt import open_segments, tokenize_caption


@dataclass(frozen=True, kw_only=True)
class Config:
    """Objects asked for amid a sentence, behind their image."""

    scenes: int = 20
    """The first so many held-out samples; 0 leaves the measures without a value."""
    prompt: tuple[str, str] = ("Here is one part of the picture:", " It shows a")
    """Before and after the object's tokens; the candidate names follow."""
    length: Length = "calibrated"
    """How names of different length and frequency are compared in naming: sum, mean, pmi or
    calibrated (see metrics/name_score)."""

    def __post_init__(self) -> None:
        check_scenes(self.scenes)


def build(config: Config, *, subject: Subject, generator: np.random.Generator) -> Plan:
    """One question per region: all candidate names behind image, sentence and its tokens."""
    tokenizer = subject.vlm.language.tokenizer
    start = open_segments(subject.options.frame, tokenizer, image=True)
    before, after = (Tokens(tokenize_caption(text, tokenizer).ids) for text in config.prompt)
    questions = RegionQuestions(subject, config.scenes, config.length, generator, UNSEEN_PROMPT)
    return questions.plan(lambda patches: (*start, before, patches, after))
