"""What does the text in a region say? On composed pages and charts (--kind words or charts)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np

from diglot.config.ranges import NonNegativeInt
from diglot.core.box_text import unit_box, write_box
from diglot.core.types import Sample
from diglot.evaluate.choices import choice_item
from diglot.evaluate.facts import is_text
from diglot.evaluate.items import Item
from diglot.evaluate.questions import READING
from diglot.evaluate.task import AskConfig, Length, Task
from diglot.synth.text_pairs.words import Draw


@dataclass(frozen=True, kw_only=True)
class Config(AskConfig):
    """Texts of a page by their boxes."""

    length: Length = "mean"
    """As for every task: sum, mean or pmi."""
    alike: NonNegativeInt = 2
    """Candidates that one letter or digit sets apart from the text, beside the page's others."""


def build(config: Config) -> Task:
    """The words in the box, as OCRBench counts; the choice among the page's and similar ones."""
    return Task(
        title="Reading",
        what="What does the text in the box say? In writing: the answer holds its words. By "
        "likelihood: a choice among all texts of the page and such that one letter sets apart.",
        make=lambda scenes, generator: _make_items(scenes, generator, config.alike),
        scorer="score_text",
        asked=config,
    )


def _make_items(
    scenes: Sequence[Sample], generator: np.random.Generator, alike: int
) -> Iterator[Item]:
    for scene in scenes:
        texts = [region for region in scene.regions if is_text(region)]
        own = {region.phrase for region in texts}
        for number, region in enumerate(texts):
            draw = Draw(Random(int(generator.integers(2**32))))
            near = {_change_one(region.phrase, draw) for _ in range(alike)}
            yield choice_item(
                scene,
                number,
                question=READING.format(write_box(unit_box(region.box, scene.size_hw))),
                candidates=sorted(own | near),
                answer=region.phrase,
                source=region.source,
            )


def _change_one(text: str, draw: Draw) -> str:
    """The text with its last word changed by a letter or digit."""
    *before, last = text.split(" ")
    return " ".join([*before, draw.like(last)])
