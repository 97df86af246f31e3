"""The embedding space: visual tokens as they enter the LLM, against its words. No LLM pass.

Sources: Patch-aligned (entropy, Align, cosine, matching pursuit), SEA (TACS, modality gap). W is
the checkpoint's own input embeddings.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from diglot.core.errors import ConfigError
from diglot.core.result import Measure
from diglot.measure.config import check_scenes
from diglot.measure.embedding_entropy import measure_entropy
from diglot.measure.embedding_words import (
    measure_consistency,
    measure_gap,
    measure_norms,
    measure_objects,
    measure_pursuit,
)
from diglot.measure.named_objects import iterate_objects
from diglot.measure.plan import Answers, Plan, Subject
from diglot.measure.word_space import WordSpace, caption_words, open_words, read_word_list
from diglot.metrics.align import RULES, Rule


@dataclass(frozen=True, kw_only=True)
class Config:
    """Visual tokens against words."""

    scenes: int = 100
    """The first so many held-out samples; 0 leaves the measures without a value."""
    pursuit_scenes: int = 8
    """Of these, how many go through matching pursuit over the whole vocabulary."""
    threshold: Rule | float = "otsu"
    """Of Align: otsu, quantile, mean_std, oracle_area, or a cosine (see metrics/align)."""
    tacs_k: int = 10
    """Of TACS: how many of an image's best tokens count."""
    pursuit_steps: int = 5
    """Of matching pursuit: words a token is taken apart into."""
    word_list: str | None = None
    """A file of words, one a line, for the modality gap; null: all names and caption words."""

    def __post_init__(self) -> None:
        check_scenes(self.scenes, self.pursuit_scenes)
        if min(self.tacs_k, self.pursuit_steps) < 1:
            raise ConfigError("must be at least 1", where="tacs_k, pursuit_steps")
        if isinstance(self.threshold, str) and self.threshold not in RULES:
            expected = ", ".join(RULES) + " or a number"
            raise ConfigError("no such rule", expected=expected, got=self.threshold)

    @property
    def feature_scenes(self) -> int:
        """Scenes whose encoder features are needed too."""
        return self.scenes


def build(config: Config, *, subject: Subject, generator: np.random.Generator) -> Plan:
    """No questions: all of it is geometry of the visual tokens."""

    def conclude(_: Answers) -> list[Measure]:
        scenes, draws = subject.held_out[: config.scenes], subject.options.bootstrap_draws
        objects = iterate_objects(subject.vlm, scenes)
        space = _open_word_space(config, subject)
        pursued = scenes[: config.pursuit_scenes]
        return [
            *measure_entropy(scenes),
            *measure_objects(objects, config.threshold, generator, draws),
            measure_consistency(scenes, space, config.tacs_k, generator, draws),
            measure_gap(scenes, space, generator, draws),
            measure_pursuit(pursued, space, config.pursuit_steps, generator, draws),
            measure_norms(scenes, space, generator, draws),
        ]

    return Plan("embedding space", (), conclude)


def _open_word_space(config: Config, subject: Subject) -> WordSpace:
    samples = [scene.sample for scene in subject.held_out[: config.scenes]]
    listed = (
        read_word_list(Path(config.word_list))
        if config.word_list
        else caption_words(samples, subject.names)
    )
    return open_words(subject.vlm.language, listed)
