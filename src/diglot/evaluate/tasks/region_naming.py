"""What is in a region that is given by its box?"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from diglot.config.ranges import NonNegativeInt
from diglot.core.box_text import unit_box, write_box
from diglot.core.types import Sample
from diglot.evaluate.choices import choice_item
from diglot.evaluate.items import Item
from diglot.evaluate.questions import REGION_NAMING
from diglot.evaluate.task import AskConfig, Length, Task


@dataclass(frozen=True, kw_only=True)
class Config(AskConfig):
    """Names of regions among those of the picture and some of other pictures."""

    length: Length = "mean"
    """As for every task: sum, mean or pmi."""
    others: NonNegativeInt = 4
    """Names of other pictures among the candidates, beside all of the picture's own."""


def build(config: Config) -> Task:
    """The name of what a box holds."""
    return Task(
        title="Region naming",
        what="What does the box hold? Candidates are all names in the picture, and some that are "
        "in other pictures only: the picture as a whole does not give the answer away.",
        make=lambda scenes, generator: _make_items(scenes, generator, config.others),
        scorer="score_choice",
        asked=config,
    )


def _make_items(
    scenes: Sequence[Sample], generator: np.random.Generator, others: int
) -> Iterator[Item]:
    every = sorted({region.name for scene in scenes for region in scene.regions})
    for scene in scenes:
        own = list(dict.fromkeys(region.name for region in scene.regions))
        absent = [name for name in every if name not in own]
        picked = generator.permutation(len(absent))[:others]
        candidates = sorted([*own, *(absent[i] for i in picked)])
        for number, region in enumerate(scene.regions):
            yield choice_item(
                scene,
                number,
                question=REGION_NAMING.format(write_box(unit_box(region.box, scene.size_hw))),
                candidates=candidates,
                answer=region.name,
                source=region.source,
            )
