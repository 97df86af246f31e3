"""Describing a picture: which of its things are named, and which that are not there?

Precision of names is one less CHAIR_i (Rohrbach et al. 2018, arXiv 1809.02156), counted over
distinct names. By likelihood: does the picture's own caption fit it better than other pictures'?
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from diglot.config.ranges import PositiveInt
from diglot.core.types import Sample
from diglot.evaluate.items import Item
from diglot.evaluate.questions import DESCRIPTION
from diglot.evaluate.task import AskConfig, Length, Task


@dataclass(frozen=True, kw_only=True)
class Config(AskConfig):
    """One description of each picture."""

    limit: int = 64
    """At most so many pictures, drawn at random."""
    length: Length = "pmi"
    """As for every task: sum, mean or pmi."""
    others: PositiveInt = 3
    """Captions of other pictures among the candidates."""
    max_tokens: int = 96
    """Longest description."""


def build(config: Config) -> Task:
    """F1, recall and precision of names in the description; the choice among captions."""
    return Task(
        title="Description",
        what="Which things does the description name? Recall over the picture's names, precision "
        "over all names of the benchmark that it uses, and F1. By likelihood: the choice of the "
        "picture's own caption among those of other pictures.",
        make=lambda scenes, generator: _make_items(scenes, generator, config.others),
        scorer="score_description",
        metric="f1",
        asked=config,
    )


def _make_items(
    scenes: Sequence[Sample], generator: np.random.Generator, others: int
) -> Iterator[Item]:
    every = sorted({region.name for scene in scenes for region in scene.regions})
    captions = sorted({scene.caption for scene in scenes if scene.caption.strip()})
    for scene in scenes:
        own = list(dict.fromkeys(region.name for region in scene.regions))
        if not own:
            continue
        foreign = [caption for caption in captions if caption != scene.caption]
        picked = [foreign[i] for i in generator.permutation(len(foreign))[:others]]
        candidates = sorted([scene.caption, *picked]) if scene.caption and picked else []
        yield Item(
            id=f"{scene.id}/0",
            task="",
            question=DESCRIPTION,
            answer=scene.caption,
            scene=scene.id,
            candidates=tuple(candidates),
            right=tuple(caption == scene.caption for caption in candidates),
            truth={"names": own, "absent": [name for name in every if name not in own]},
        )
