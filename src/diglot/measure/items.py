"""Scored items of a measure, and their mean with its interval, whole and by group."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from diglot.core.result import Estimate
from diglot.measure.groups import by_group
from diglot.metrics.bootstrap import mean_interval


@dataclass(frozen=True)
class ScoredItem:
    """One scored item."""

    scene: int  # index of its image: the cluster that the bootstrap draws
    group: str
    value: float
    chance: float  # what a blind guess gets on it


def mean_chance(items: Sequence[ScoredItem]) -> float | None:
    """The chance level over all items; None without items."""
    return float(np.mean([item.chance for item in items])) if items else None


def summarise_items(
    items: Sequence[ScoredItem], *, generator: np.random.Generator, draws: int
) -> tuple[Estimate, dict[str, Estimate]]:
    """The mean of all items, and of each group's."""

    def mean(indices: Sequence[int]) -> Estimate:
        values = [items[i].value for i in indices]
        scenes = [items[i].scene for i in indices]
        return mean_interval(values, scenes, generator=generator, draws=draws)

    return mean(range(len(items))), by_group([item.group for item in items], mean)
