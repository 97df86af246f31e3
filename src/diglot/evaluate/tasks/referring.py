"""Referring-expression comprehension: where is what a phrase singles out?

By the written box Acc@0.5, as on RefCOCO (Kazemzadeh et al. 2014; Yu et al. 2016): the share of
boxes whose intersection over union with the true one is at least one half. By likelihood the boxes
of all regions of the picture are the candidates. Boxes are shares of the original picture's sides.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from diglot.core.box_text import unit_box, write_box
from diglot.core.types import Sample
from diglot.evaluate.facts import name_thing, single_things
from diglot.evaluate.items import Item
from diglot.evaluate.questions import REFERRING
from diglot.evaluate.scoring import box_iou, read_box
from diglot.evaluate.task import AskConfig, Task
from diglot.measure.groups import group_of

THRESHOLD = 0.5


@dataclass(frozen=True, kw_only=True)
class Config(AskConfig):
    """Phrases that single out one thing, and its box."""

    max_tokens: int = 48
    """Longest written answer."""


def build(config: Config) -> Task:
    """Acc@0.5 of written boxes, and the choice among the boxes of the picture's regions."""
    return Task(
        title="Referring expressions",
        what="Where is the thing? In writing: the box overlaps the true one by at least one half "
        "(IoU). By likelihood: a choice among the boxes of all things in the picture.",
        make=lambda scenes, generator: _make_items(scenes),
        scorer="score_box",
        asked=config,
    )


def _make_items(scenes: Sequence[Sample]) -> Iterator[Item]:
    for scene in scenes:
        boxes = [unit_box(region.box, scene.size_hw) for region in scene.regions]
        candidates = list(dict.fromkeys(write_box(box) for box in boxes))
        for number, thing in enumerate(single_things(scene)):
            true = unit_box(thing.region.box, scene.size_hw)
            right = tuple(_is_right(read_box(text) or true, true) for text in candidates)
            if not any(right):  # so small that two decimals miss it
                continue
            yield Item(
                id=f"{scene.id}/{number}",
                task="",
                question=REFERRING.format(f"the {name_thing(thing.phrase, thing.region)}"),
                answer=write_box(true),
                scene=scene.id,
                group=group_of(thing.region.source),
                candidates=tuple(candidates),
                right=right,
                truth={"box": list(true)},
            )


def _is_right(box: Sequence[float], true: Sequence[float]) -> bool:
    return box_iou(box, true) >= THRESHOLD
