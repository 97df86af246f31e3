"""Attention from a phrase to the image, layer by layer: does it lie on the object?

Sources: MMCS Fig. 6 (an entity's tokens), VDEP Fig. 1 (an instruction's tokens); the pointing game
of Zhang et al. 2016. Weights are the mean over heads and over the query tokens. They are taken
beside the model's own attention, for the wanted rows only, one image at a time: of a map its four
readings a layer are kept, so memory follows the objects and not the visual tokens.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from diglot.core.distributed import map_over_processes
from diglot.core.result import Measure
from diglot.measure.attention_maps import Query, open_queries, read_map
from diglot.measure.attention_rows import record_rows
from diglot.measure.config import check_scenes
from diglot.measure.items import mean_chance
from diglot.measure.map_items import (
    MapReadings,
    Reading,
    items_by_layer,
    read_readings,
    summarise_layers,
)
from diglot.measure.plan import NotFiniteError, Pass, Subject

_MAP = (
    "Image and text go through the language model; at every layer the attention of the query "
    "tokens to the visual tokens is averaged over heads and queries. The value is the mean over "
    "layers; the curve by layer stands with it. Attention is where a layer reads from, not what "
    "it understands: a sink token may draw most of it and mean nothing. "
)
READINGS: tuple[tuple[Reading, str, str, str, bool | None], ...] = (
    (
        "pointing",
        "Pointing by attention",
        f"{_MAP}A hit where the most attended token's centre lies on the object. Chance is the "
        "share of tokens that would hit.",
        "accuracy",
        True,
    ),
    (
        "mass",
        "Attention on the object",
        f"{_MAP}The share of the attention to the image that lies on the object, a cell counted by "
        "the part the object covers. Chance is that of an even map.",
        "share",
        True,
    ),
    (
        "mass_box",
        "Attention in the object's box",
        f"{_MAP}The share of the attention to the image that lies in the object's box. Chance is "
        "that of an even map.",
        "share",
        True,
    ),
    (
        "entropy",
        "Entropy of the attention map",
        f"{_MAP}How spread the attention is over the image, in nats; an even map (under chance) "
        "has the logarithm of the number of tokens. Lower is more concentrated, not better by "
        "itself.",
        "nats",
        None,
    ),
)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Attention maps of objects."""

    scenes: int = 24
    """The first so many held-out samples; 0 leaves the measures without a value."""
    query: Literal["entity", "instruction", "last"] = "entity"
    """Whose attention: the tokens of the object's phrase in the caption; those of the instruction
    behind the image; or the instruction's last token. With an instruction the objects of an image
    share one map."""
    instruction: str = "Describe this photo in detail"
    """Behind the image, where the query is not an entity."""

    def __post_init__(self) -> None:
        check_scenes(self.scenes)


def build(config: Config, *, subject: Subject, generator: np.random.Generator) -> Pass:
    """One pass a scene, its whole document in a row of its own."""
    scenes = subject.held_out[: config.scenes]
    queries = open_queries(
        subject.vlm, scenes, subject.options.frame, config.query, config.instruction
    )

    def read(query: Query) -> list[MapReadings] | None:
        """None where the model's half precision has overflowed; no map is kept."""
        maps = read_map(subject.vlm, query)
        finite = all(np.isfinite(object_map.weight_LP).all() for object_map in maps)
        return [read_readings(object_map) for object_map in maps] if finite else None

    def run(done: Callable[[int], None]) -> list[Measure]:
        with record_rows(subject.vlm.language):
            of_scenes = map_over_processes(queries, read, done=lambda query: done(query.tokens))
        if any(of_scene is None for of_scene in of_scenes):
            raise NotFiniteError("attention weights are not finite")
        kept = [one for of_scene in of_scenes for one in of_scene or ()]
        draws = subject.options.bootstrap_draws
        return [_make_measure(reading, kept, queries, generator, draws) for reading in READINGS]

    return Pass("attention", sum(query.tokens for query in queries), run)


def _make_measure(
    reading: tuple[Reading, str, str, str, bool | None],
    kept: list[MapReadings],
    queries: list[Query],
    generator: np.random.Generator,
    draws: int,
) -> Measure:
    kind, title, what, unit, higher = reading
    items_L = items_by_layer(kept, kind)
    estimate, groups, layers = summarise_layers(items_L, generator, draws)
    return Measure(
        key=f"attention_{kind}",
        title=title,
        what=what,
        unit=unit,
        higher_is_better=higher,
        chance=mean_chance(items_L[0]) if items_L else None,
        estimate=estimate,
        groups=groups,
        layers={title: layers} if layers else {},
        details={"scenes without a query": sum(not query.objects for query in queries)},
    )
