"""Readings of attention maps as scored items, by layer and on average."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from diglot.core.result import NOT_MEASURED, Estimate
from diglot.measure.attention_maps import ObjectMap
from diglot.measure.items import ScoredItem, summarise_items
from diglot.metrics.attention_mass import map_entropy, mass_inside
from diglot.metrics.choice import choice_chance, choice_credit

Reading = Literal["pointing", "mass", "mass_box", "entropy"]
READING_NAMES: tuple[Reading, ...] = get_args(Reading)


@dataclass(frozen=True)
class MapReadings:
    """What is kept of one object's map: every reading at every layer, and not the map."""

    scene: int
    group: str
    value_L: dict[Reading, tuple[float, ...]]
    chance: dict[Reading, float]


def read_readings(object_map: ObjectMap) -> MapReadings:
    """All readings of a finite map; a map of zeros reads as nothing: 0, or an even map."""
    chance: dict[Reading, float] = {
        reading: _chance_of(object_map, reading) for reading in READING_NAMES
    }
    value_L: dict[Reading, tuple[float, ...]] = {
        reading: tuple(
            chance[reading]
            if (value := _value_of(object_map, weight_P, reading)) is None
            else value
            for weight_P in object_map.weight_LP
        )
        for reading in READING_NAMES
    }
    return MapReadings(object_map.scene, object_map.group, value_L, chance)


def _value_of(object_map: ObjectMap, weight_P: np.ndarray, reading: Reading) -> float | None:
    """The reading at one layer; None of a map of zeros, which says nothing."""
    match reading:
        case "pointing":
            return choice_credit(weight_P, object_map.inside_P)
        case "mass":
            return mass_inside(weight_P, object_map.cover_P)
        case "mass_box":
            return mass_inside(weight_P, object_map.box_P)
        case "entropy":
            return map_entropy(weight_P)


def _chance_of(object_map: ObjectMap, reading: Reading) -> float:
    """What an even map gets."""
    match reading:
        case "pointing":
            return choice_chance(object_map.inside_P)
        case "mass":
            return float(object_map.cover_P.mean())
        case "mass_box":
            return float(object_map.box_P.mean())
        case "entropy":
            return float(np.log(len(object_map.inside_P)))


def items_by_layer(kept: Sequence[MapReadings], reading: Reading) -> list[list[ScoredItem]]:
    """An item an object at every layer."""
    of_objects = [
        [
            ScoredItem(one.scene, one.group, value, one.chance[reading])
            for value in one.value_L[reading]
        ]
        for one in kept
    ]
    return [list(of_layer) for of_layer in zip(*of_objects, strict=True)]


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
