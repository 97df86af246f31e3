"""How many things of a name does the picture show?"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from diglot.config.ranges import PositiveInt
from diglot.core.types import Sample
from diglot.evaluate.choices import choice_item
from diglot.evaluate.items import Item
from diglot.evaluate.questions import COUNTING
from diglot.evaluate.task import AskConfig, Task
from diglot.synth.scenes.words import pluralise_name


@dataclass(frozen=True, kw_only=True)
class Config(AskConfig):
    """Counts of things of one name, and of all things."""

    max_tokens: int = 8
    """Longest written answer."""
    most: PositiveInt = 6
    """Candidates are 1 to this number; pictures with more things are not asked."""


def build(config: Config) -> Task:
    """A number, in digits or in words."""
    return Task(
        title="Counting",
        what="How many things of one name, or things at all, are there? Of each picture the name "
        "that stands there most often, one that stands there once, and all things.",
        make=lambda scenes, generator: _make_items(scenes, generator, config.most),
        scorer="score_count",
        asked=config,
    )


def _make_items(
    scenes: Sequence[Sample], generator: np.random.Generator, most: int
) -> Iterator[Item]:
    candidates = [str(number) for number in range(1, most + 1)]
    for scene in scenes:
        for number, (words, count) in enumerate(_choose_counts(scene, generator)):
            if count <= most:
                question = COUNTING.format(words)
                yield choice_item(
                    scene, number, question=question, candidates=candidates, answer=str(count)
                )


def _choose_counts(scene: Sample, generator: np.random.Generator) -> list[tuple[str, int]]:
    """(words in the plural, how many there are) of what is asked about one scene."""
    counts = Counter(region.name for region in scene.regions)
    if not counts:
        return []
    name, count = counts.most_common(1)[0]
    asked = [(pluralise_name(name), count)] if count > 1 else []
    singles = sorted(name for name, count in counts.items() if count == 1)
    if singles:
        asked.append((pluralise_name(singles[int(generator.integers(len(singles)))]), 1))
    return [*asked, ("things", sum(counts.values()))]
