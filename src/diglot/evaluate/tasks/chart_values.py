"""What value does a chart's bar or point have? On charts whose captions state the values.

Source of the score: ChartQA's relaxed accuracy, within 5% (Masry et al. 2022, arXiv 2203.10244).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from diglot.core.region import Region
from diglot.core.types import Sample
from diglot.evaluate.choices import choice_item
from diglot.evaluate.items import Item
from diglot.evaluate.questions import CHART_VALUE
from diglot.evaluate.task import AskConfig, Length, Task
from diglot.synth.text_scenes.captions import STATES

APART = 0.1  # of the true value: nearer ones are no candidates beside it
MOST = 5  # candidates


@dataclass(frozen=True, kw_only=True)
class Config(AskConfig):
    """Values of bars and points."""

    length: Length = "mean"
    """As for every task: sum, mean or pmi."""
    max_tokens: int = 12
    """Longest written answer."""


def build(config: Config) -> Task:
    """A number within 5% of the value; the choice among the chart's other values."""
    return Task(
        title="Chart values",
        what="What value does the part of the chart have? In writing: within 5% of it. By "
        "likelihood: a choice among values of the chart that are at least 10% apart from it.",
        make=_make_items,
        scorer="score_value",
        asked=config,
    )


def _make_items(scenes: Sequence[Sample], generator: np.random.Generator) -> Iterator[Item]:
    for scene in scenes:
        stated = [(region, value) for region in scene.regions if (value := _value(region, scene))]
        for number, (region, value) in enumerate(stated):
            others = list(dict.fromkeys(v for _, v in stated if _is_apart(v, value)))
            picked = [others[i] for i in generator.permutation(len(others))[: MOST - 1]]
            if picked:
                yield choice_item(
                    scene,
                    number,
                    question=CHART_VALUE.format(region.phrase),
                    candidates=sorted([value, *picked], key=float),
                    answer=value,
                    source=region.source,
                )


def _value(region: Region, scene: Sample) -> str | None:
    """What the caption states behind the region's name; None for nothing."""
    if region.span is None or region.source != "charts/part":
        return None
    behind = scene.caption[region.span[1] :]
    found = re.match(rf" {STATES} (\d+(?:\.\d+)?)(?=\.(?: |$))", behind)
    return found.group(1) if found else None


def _is_apart(value: str, true: str) -> bool:
    return abs(float(value) - float(true)) >= APART * abs(float(true))
