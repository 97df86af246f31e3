"""A task of your own: is the scene's largest thing named?

Copy it, change `build`, and name it by its dotted path, run from the folder above:

    diglot evaluate runs/caption --data data/scenes --tasks examples.own_task --out eval
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from diglot.core.types import Sample
from diglot.evaluate.choices import choice_item
from diglot.evaluate.items import Item
from diglot.evaluate.task import AskConfig, Task


@dataclass(frozen=True, kw_only=True)
class Config(AskConfig):
    """Its settings, beside those of every task: --options '{examples.own_task: {others: 5}}'"""

    others: int = 3
    """Names among the candidates that are not the answer."""


def build(config: Config) -> Task:
    """What diglot calls: how items are made, and how written answers are scored."""
    return Task(
        title="Largest thing",
        what="Which thing covers most of the picture?",
        make=lambda scenes, generator: make_items(scenes, generator, config.others),
        scorer="score_choice",
        asked=config,
    )


def make_items(
    scenes: Sequence[Sample], generator: np.random.Generator, others: int
) -> Iterator[Item]:
    """One item a scene; the candidates are names of all scenes."""
    names = sorted({region.name for scene in scenes for region in scene.regions})
    for scene in scenes:
        if scene.regions:
            largest = max(scene.regions, key=lambda region: box_area(*region.box))
            wrong = [name for name in names if name != largest.name]
            drawn = generator.permutation(len(wrong))[:others]
            yield choice_item(
                scene,
                0,
                question="What is the largest thing in the picture?",
                candidates=sorted([largest.name, *(wrong[i] for i in drawn)]),
                answer=largest.name,
                source=largest.source,
            )


def box_area(x0: float, y0: float, x1: float, y1: float) -> float:
    """Of a box, in square pixels."""
    return (x1 - x0) * (y1 - y0)
