"""What colour is a thing? Asked of things that their phrase gives a colour."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from diglot.core.types import Sample
from diglot.evaluate.choices import choice_item
from diglot.evaluate.facts import COLOUR_NAMES, uniquely_named
from diglot.evaluate.items import Item
from diglot.evaluate.questions import COLOUR
from diglot.evaluate.task import AskConfig, Task


@dataclass(frozen=True, kw_only=True)
class Config(AskConfig):
    """Colours of things whose name stands once in the picture."""

    max_tokens: int = 8
    """Longest written answer."""


def build(config: Config) -> Task:
    """One word of the colours that drawings are tinted in."""
    return Task(
        title="Colour",
        what="What colour is the thing? Candidates are the colours that scenes are tinted in.",
        make=_make_items,
        scorer="score_choice",
        asked=config,
    )


def _make_items(scenes: Sequence[Sample], generator: np.random.Generator) -> Iterator[Item]:
    for scene in scenes:
        for number, thing in enumerate(uniquely_named(scene)):
            if thing.colour:
                yield choice_item(
                    scene,
                    number,
                    question=COLOUR.format(thing.name),
                    candidates=COLOUR_NAMES,
                    answer=thing.colour,
                    source=thing.region.source,
                )
