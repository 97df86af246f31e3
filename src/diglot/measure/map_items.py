"""Readings of attention maps as scored items, by layer and on average."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from diglot.core.result import NOT_MEASURED, Estimate
from diglot.measure.attention_maps import ObjectMap
from diglot.measure.items import ScoredItem, summarise_items
from diglot.metrics.attention_mass import map_entropy, mass_inside
from diglot.metrics.choice import choice_chance, choice_credit

Reading = Literal["pointing", "mass", "mass_box", "entropy"]


def items_by_layer(maps: Sequence[ObjectMap], reading: Reading) -> list[list[ScoredItem]]:
    """An item an object at every layer; a map of zeros reads as nothing: 0, or an even map."""
    if not maps:
        return []
    return [
        [_make_item(object_map, layer, reading) for object_map in maps]
        for layer in range(len(maps[0].weight_LP))
    ]


def _make_item(object_map: ObjectMap, layer: int, reading: Reading) -> ScoredItem:
    weight = object_map.weight_LP[layer]
    match reading:
        case "pointing":
            value = choice_credit(weight, object_map.inside_P)
            chance = choice_chance(object_map.inside_P)
        case "mass" | "mass_box":
            cover = object_map.cover_P if reading == "mass" else object_map.box_P
            value, chance = mass_inside(weight, cover), float(cover.mean())
        case "entropy":
            value, chance = map_entropy(weight), float(np.log(len(weight)))
    return ScoredItem(
        object_map.scene, object_map.group, chance if value is None else value, chance
    )


def summarise_layers(
    items_L: Sequence[Sequence[ScoredItem]], generator: np.random.Generator, draws: int
) -> tuple[Estimate, dict[str, Estimate], list[float | None]]:
    """The mean over layers with its interval, whole and by group; and every layer's mean."""
    if not items_L:
        return NOT_MEASURED, {}, []
    across = [
        ScoredItem(
            of_object[0].scene, of_object[0].group, _mean_value(of_object), of_object[0].chance
        )
        for of_object in zip(*items_L, strict=True)
    ]
    estimate, groups = summarise_items(across, generator=generator, draws=draws)
    # layer 0 is the input, as in the curves of hidden states: no attention there
    return estimate, groups, [None, *(_mean_value(items) for items in items_L)]


def _mean_value(items: Sequence[ScoredItem]) -> float:
    return float(np.mean([item.value for item in items]))
