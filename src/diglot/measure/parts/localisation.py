"""Localisation: do the visual tokens that lie near a name's word vector lie on the object?

Source: Align(V, W) of Patch-aligned (cosine of visual tokens and label embeddings, as a mask's IoU)
and the pointing game. The paper's threshold is "adaptive" and not defined; ours is chosen on
training scenes. No LLM pass: this measures the projector against the input embeddings.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from diglot.core.result import Measure
from diglot.measure.config import check_scenes
from diglot.measure.items import ScoredItem, mean_chance, summarise_items
from diglot.measure.named_objects import NamedObject, find_objects
from diglot.measure.plan import Answers, Plan, Subject
from diglot.metrics.choice import choice_chance, choice_credit
from diglot.metrics.iou import (
    best_iou,
    cells_iou,
    choose_threshold,
    iou_by_threshold,
)

_COSINE = (
    "A name's word vector is the mean of its tokens' input embeddings; every visual token has a "
    "cosine with it. "
)
_LEANS = (
    "No language model runs, so this asks only for visual tokens that lie by the words. Neither "
    "objective is trained for it; code-switching puts an object's tokens in the place of its "
    "words, and so leans to it. A model can do well without it, as the layers above may read "
    "visual tokens from anywhere in the space."
)
POINTING = (
    f"{_COSINE}The one with the largest points: a hit where the centre of its cell lies on a "
    "visible part of an object of that name; the details also count cells that only touch it. "
    "Chance is the mean share of tokens that would hit. "
    f"{_LEANS}"
)
IOU = (
    f"{_COSINE}Those above a threshold make a mask, compared with the object's visible part by "
    "intersection over union. One threshold for all names, chosen on training scenes for the "
    "largest mean IoU. Chance is the IoU of the whole picture; 'ceiling' in the details is the "
    f"best that cells of this size can reach. {_LEANS}"
)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Names looked for among the visual tokens."""

    scenes: int = 96
    """The first so many held-out samples; 0 leaves the measures without a value."""
    training_scenes: int = 96
    """TRAINING samples that the threshold of the masks is chosen on; 0: no mask IoU."""

    def __post_init__(self) -> None:
        check_scenes(self.scenes, self.training_scenes)


def build(config: Config, *, subject: Subject, generator: np.random.Generator) -> Plan:
    """Pointing and IoU; no questions, as no LLM runs."""

    def conclude(_: Answers) -> list[Measure]:
        objects = find_objects(subject.vlm, subject.held_out[: config.scenes])
        chosen_on = find_objects(subject.vlm, subject.training[: config.training_scenes])
        draws = subject.options.bootstrap_draws
        return [
            _measure_pointing(objects, generator, draws),
            _measure_iou(objects, chosen_on, generator, draws),
        ]

    return Plan("localisation", (), conclude)


def _measure_pointing(
    objects: Sequence[NamedObject], generator: np.random.Generator, draws: int
) -> Measure:
    items = [
        ScoredItem(
            p.scene, p.group, choice_credit(p.cosine_P, p.inside_P), choice_chance(p.inside_P)
        )
        for p in objects
    ]
    estimate, groups = summarise_items(items, generator=generator, draws=draws)
    details: dict[str, float] = {}
    if objects:
        touching = [choice_credit(p.cosine_P, p.touching_P) for p in objects]
        details["touching the object"] = float(np.mean(touching))
        chance = [choice_chance(p.touching_P) for p in objects]
        details["touching the object, by chance"] = float(np.mean(chance))
    return Measure(
        key="pointing",
        title="Pointing by cosine",
        what=POINTING,
        unit="accuracy",
        higher_is_better=True,
        chance=mean_chance(items),
        estimate=estimate,
        groups=groups,
        details=details,
    )


def _measure_iou(
    objects: Sequence[NamedObject],
    chosen_on: Sequence[NamedObject],
    generator: np.random.Generator,
    draws: int,
) -> Measure:
    """Without training scenes no threshold can be chosen, and nothing is measured."""
    items: list[ScoredItem] = []
    details: dict[str, float] = {}
    if objects and chosen_on:
        threshold = choose_threshold(
            [p.flat_cosine_P for p in chosen_on], [p.target for p in chosen_on]
        )
        items = [_iou_item(named, threshold) for named in objects]
        details["cosine threshold"] = threshold
        details["ceiling"] = float(np.mean([best_iou(named.target) for named in objects]))
    estimate, groups = summarise_items(items, generator=generator, draws=draws)
    return Measure(
        key="iou",
        title="Mask IoU by cosine",
        what=IOU,
        unit="IoU",
        higher_is_better=True,
        chance=mean_chance(items),
        estimate=estimate,
        groups=groups,
        details=details,
    )


def _iou_item(named: NamedObject, threshold: float) -> ScoredItem:
    value = float(iou_by_threshold(named.flat_cosine_P, named.target, [threshold])[0])
    whole = cells_iou(np.ones(len(named.flat_cosine_P), dtype=bool), named.target)
    return ScoredItem(named.scene, named.group, value, whole)
