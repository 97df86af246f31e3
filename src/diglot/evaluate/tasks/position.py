"""On which side of another thing is a thing: left or right, above or below?"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations

from diglot.core.errors import ConfigError
from diglot.core.types import Sample
from diglot.evaluate.choices import choice_item
from diglot.evaluate.facts import NamedRegion, center_of, single_things
from diglot.evaluate.items import Item
from diglot.evaluate.questions import POSITION
from diglot.evaluate.task import AskConfig, Task

AXES = (("left", "right"), ("above", "below"))
WORDS = (("to the left", "to the right of"), ("above", "below"))


@dataclass(frozen=True, kw_only=True)
class Config(AskConfig):
    """Two things that a phrase singles out, apart by a clear distance."""

    max_tokens: int = 8
    """Longest written answer."""
    apart: float = 0.2
    """The least distance of the two middles, as a share of the picture's side."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.apart < 1:
            raise ConfigError("a share of a side", expected="0 to 1", got=self.apart, where="apart")


def build(config: Config) -> Task:
    """Left or right, above or below, each pair asked in both orders."""
    return Task(
        title="Position",
        what="Is one thing left or right of, above or below another? Each pair is asked in both "
        "orders, so a liking for one word gives one half.",
        make=lambda scenes, generator: _make_items(scenes, config.apart),
        scorer="score_choice",
        asked=config,
    )


def _make_items(scenes: Sequence[Sample], apart: float) -> Iterator[Item]:
    for scene in scenes:
        asked = list(_distinct_pairs(scene, apart))
        for number, (first, second, axis, answer) in enumerate(asked):
            low, high = AXES[axis]
            question = POSITION.format(first.phrase, *WORDS[axis], second.phrase, low, high)
            yield choice_item(
                scene, number, question=question, candidates=AXES[axis], answer=answer
            )


def _distinct_pairs(
    scene: Sample, apart: float
) -> Iterator[tuple[NamedRegion, NamedRegion, int, str]]:
    """(first, second, axis, where the first is) of every ordered pair that lies clearly apart."""
    for first, second in permutations(single_things(scene), 2):
        here, there = center_of(first.region, scene), center_of(second.region, scene)
        for axis in (0, 1):
            if abs(here[axis] - there[axis]) >= apart:
                yield first, second, axis, AXES[axis][int(here[axis] > there[axis])]
