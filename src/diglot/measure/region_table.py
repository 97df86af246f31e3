"""One table per scene, log p(name | a region's prompt), and the items read out of it.

Matching reads a column (which box for this name?), naming a row (which name for this box?).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from diglot.core.types import Region
from diglot.measure.groups import group_of
from diglot.measure.items import ScoredItem
from diglot.metrics.choice import choice_chance, choice_credit


@dataclass(frozen=True)
class RegionRow:
    """One region and the log-likelihood of every name asked behind it."""

    scene: int
    region: Region
    log_prob: dict[str, float]


def matching_items(rows: Sequence[RegionRow]) -> list[ScoredItem]:
    """One item per name in a scene: choose the box that makes it likeliest.

    A name that several boxes carry is right at any of them; one that all carry asks nothing, nor
    does a scene of one box: no item. Rows of a scene stand together.
    """
    items = []
    for scene, group in groupby(rows, key=lambda row: row.scene):
        boxes = list(group)
        for name in dict.fromkeys(row.region.name for row in boxes):
            right = np.array([row.region.name == name for row in boxes])
            if right.all():
                continue
            score = np.array([row.log_prob[name] for row in boxes])
            source = boxes[int(right.argmax())].region.source
            credit, chance = choice_credit(score, right), choice_chance(right)
            items.append(ScoredItem(scene, group_of(source), credit, chance))
    return items


def naming_items(
    regions: Sequence[tuple[int, Region]], names: Sequence[str], score_RC: np.ndarray
) -> list[ScoredItem]:
    """One item per region, given with its scene: choose its name among the candidates by score."""
    items = []
    for (scene, region), score_C in zip(regions, score_RC, strict=True):
        right = np.array([name == region.name for name in names])
        credit, chance = choice_credit(score_C, right), choice_chance(right)
        items.append(ScoredItem(scene, group_of(region.source), credit, chance))
    return items
