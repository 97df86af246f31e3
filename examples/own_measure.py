"""A measure of your own: is an object's mean visual token nearest to its own name, of its scene's?

Copy it, change `build`, and name it by its dotted path, run from the folder above:

    diglot measure runs/caption --data data/scenes --json own.json \\
        --measure.measures '{nearest: {name: examples.own_measure, scenes: 50}}'
"""

from dataclasses import dataclass

import numpy as np

from diglot.core.result import Measure
from diglot.measure.groups import group_of
from diglot.measure.items import ScoredItem, mean_chance, summarise_items
from diglot.measure.named_objects import word_cosines
from diglot.measure.plan import Answers, Plan, Subject
from diglot.measure.projected import ProjectedSample, object_tokens
from diglot.models.words import label_ids, label_means


@dataclass(frozen=True, kw_only=True)
class Config:
    """Its settings: {nearest: {name: examples.own_measure, scenes: 50}}"""

    scenes: int = 100
    """The first so many held-out samples."""


def build(config: Config, *, subject: Subject, generator: np.random.Generator) -> Plan:
    """What diglot calls. A `Plan` may ask the LLM how likely texts are; this one asks nothing."""

    def conclude(_: Answers) -> list[Measure]:
        scenes = enumerate(subject.held_out[: config.scenes])
        items = [item for number, scene in scenes for item in score(number, scene, subject)]
        draws = subject.options.bootstrap_draws
        estimate, groups = summarise_items(items, generator=generator, draws=draws)
        return [
            Measure(
                key="nearest_name",
                title="Nearest name of the scene",
                what="The share of objects whose mean token is nearest to their own name.",
                unit="accuracy",
                higher_is_better=True,
                chance=mean_chance(items),
                estimate=estimate,
                groups=groups,
            )
        ]

    return Plan("nearest name", (), conclude)


def score(number: int, scene: ProjectedSample, subject: Subject) -> list[ScoredItem]:
    """One item an object; a scene of one name asks nothing."""
    language, regions = subject.vlm.language, scene.sample.regions
    names = sorted({region.name for region in regions})
    ids = [label_ids(name, language.tokenizer) for name in names]
    name_ND = label_means(language.input_embeddings.weight.detach(), ids)
    items = []
    for region in regions if len(names) > 1 else ():
        if tokens := object_tokens(scene.grid, region):
            mean_D = scene.visual_PD[list(tokens)].mean(dim=0)
            nearest = names[int(word_cosines(name_ND, mean_D).argmax())]
            right = float(nearest == region.name)
            items.append(ScoredItem(number, group_of(region.source), right, 1 / len(names)))
    return items
