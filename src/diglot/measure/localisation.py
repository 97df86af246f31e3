"""Localisation: do the visual tokens that lie near a name's word vector lie on the object?

Source: Align(V, W) of Patch-aligned (cosine of visual tokens and label embeddings, as a mask's IoU)
and the pointing game. The paper's threshold is "adaptive" and not defined; ours is chosen on
training scenes. No LLM pass: this measures the projector against the input embeddings.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from diglot.core.geometry import TokenGrid
from diglot.core.region_cover import region_pixels
from diglot.core.result import Measure
from diglot.measure.config import MeasureConfig
from diglot.measure.groups import group_of
from diglot.measure.items import Item, mean_chance, summarise
from diglot.measure.plan import Answers, Plan
from diglot.measure.projected import ProjectedSample
from diglot.metrics.choice import choice_chance, choice_credit
from diglot.metrics.iou import (
    Target,
    best_iou,
    cells_iou,
    choose_threshold,
    iou_by_threshold,
    target_on_grid,
)
from diglot.metrics.pointing import centres_inside
from diglot.models.vlm import VLM
from diglot.models.words import label_vectors

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


@dataclass(frozen=True)
class Place:
    """One name in one scene: where it is, and how near each token is to its word vector."""

    scene: int
    group: str
    cosine_P: np.ndarray
    inside_P: np.ndarray  # bool, the cell's centre lies on the object
    touching_P: np.ndarray  # bool, the cell lies on the object at all
    flat_cosine_P: np.ndarray  # without the thumbnail, whose cells lie over the tiles'
    target: Target


def plan_localisation(
    vlm: VLM,
    held_out: Sequence[ProjectedSample],
    training: Sequence[ProjectedSample],
    config: MeasureConfig,
    generator: np.random.Generator,
) -> Plan:
    """Pointing and IoU; no questions, as no LLM runs."""

    def conclude(_: Answers) -> list[Measure]:
        places = _places(vlm, held_out[: config.localisation_scenes])
        chosen_on = _places(vlm, training[: config.threshold_scenes])
        return [
            _pointing(places, config, generator),
            _iou(places, chosen_on, config, generator),
        ]

    return Plan("localisation", (), conclude)


def _places(vlm: VLM, scenes: Sequence[ProjectedSample]) -> list[Place]:
    names = dict.fromkeys(r.name for projected in scenes for r in projected.sample.regions)
    vectors = label_vectors(names, vlm.language)
    return [
        place for i, projected in enumerate(scenes) for place in _places_of(i, projected, vectors)
    ]


def _places_of(
    scene: int, projected: ProjectedSample, vectors: dict[str, torch.Tensor]
) -> list[Place]:
    """One place per name of the scene; regions of one name count together."""
    places = []
    for name in dict.fromkeys(region.name for region in projected.sample.regions):
        regions = [region for region in projected.sample.regions if region.name == name]
        size_hw = projected.sample.size_hw
        covered_HW = np.max([region_pixels(r, size_hw) for r in regions], axis=0)
        if not covered_HW.any():
            continue
        cosine = cosines(projected.visual_PD, vectors[name])
        flat = projected.grid.in_views(("image", "tile"))
        places.append(
            Place(
                scene=scene,
                group=group_of(regions[0].source),
                cosine_P=cosine,
                inside_P=centres_inside(projected.grid.cells_P4, covered_HW >= 0.5),
                touching_P=projected.grid.mask_cover(covered_HW) > 0,
                flat_cosine_P=cosine[flat],
                target=target_on_grid(_flat_grid(projected.grid), covered_HW),
            )
        )
    return places


def _flat_grid(grid: TokenGrid) -> TokenGrid:
    """The grid without its thumbnail: cells that do not overlap."""
    return TokenGrid(grid.size_hw, tuple(v for v in grid.views if v.kind != "thumbnail"))


def cosines(visual_PD: torch.Tensor, vector_D: torch.Tensor) -> np.ndarray:
    """Cosine of each visual token with a word vector, float64 (P,) in [-1, 1]; 0 for a zero one."""
    visual = torch.nn.functional.normalize(visual_PD.detach().double(), dim=-1)
    vector = torch.nn.functional.normalize(vector_D.double(), dim=-1)
    return (visual @ vector).cpu().numpy()


def _pointing(
    places: Sequence[Place], config: MeasureConfig, generator: np.random.Generator
) -> Measure:
    items = [
        Item(p.scene, p.group, choice_credit(p.cosine_P, p.inside_P), choice_chance(p.inside_P))
        for p in places
    ]
    estimate, groups = summarise(items, generator=generator, draws=config.bootstrap_draws)
    details: dict[str, float] = {}
    if places:
        touching = [choice_credit(p.cosine_P, p.touching_P) for p in places]
        details["touching the object"] = float(np.mean(touching))
        chance = [choice_chance(p.touching_P) for p in places]
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


def _iou(
    places: Sequence[Place],
    chosen_on: Sequence[Place],
    config: MeasureConfig,
    generator: np.random.Generator,
) -> Measure:
    """Without training scenes no threshold can be chosen, and nothing is measured."""
    items: list[Item] = []
    details: dict[str, float] = {}
    if places and chosen_on:
        threshold = choose_threshold(
            [p.flat_cosine_P for p in chosen_on], [p.target for p in chosen_on]
        )
        items = [_iou_item(place, threshold) for place in places]
        details["cosine threshold"] = threshold
        details["ceiling"] = float(np.mean([best_iou(place.target) for place in places]))
    estimate, groups = summarise(items, generator=generator, draws=config.bootstrap_draws)
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


def _iou_item(place: Place, threshold: float) -> Item:
    value = float(iou_by_threshold(place.flat_cosine_P, place.target, [threshold])[0])
    whole = cells_iou(np.ones(len(place.flat_cosine_P), dtype=bool), place.target)
    return Item(place.scene, place.group, value, whole)
