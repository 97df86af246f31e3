"""Is a thing in the picture? Absent names are as frequent as present ones (after POPE).

Source: Li et al. 2023, arXiv 2305.10355, whose absent objects follow the frequency of the present
ones; here the match is exact (metrics/matched_negatives).
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from diglot.core.types import Sample
from diglot.evaluate.choices import choice_item
from diglot.evaluate.facts import is_text
from diglot.evaluate.items import Item
from diglot.evaluate.questions import PRESENCE
from diglot.evaluate.task import AskConfig, Task
from diglot.measure.groups import group_of
from diglot.metrics.matched_negatives import PresenceQuestion, match_negatives
from diglot.synth.scenes.words import choose_article

CANDIDATES = ("Yes", "No")
TEXT = "text"  # the kind of what is written


@dataclass(frozen=True, kw_only=True)
class Config(AskConfig):
    """Presence, present and absent names equally often."""

    max_tokens: int = 8
    """Longest written answer."""


def build(config: Config) -> Task:
    """Yes or no; besides accuracy the share answered with yes."""
    return Task(
        title="Presence",
        what="Is there a thing of this name? Every name is asked as often where it is absent as "
        "where it is present, and every picture has as many absent as present questions.",
        make=_make_items,
        scorer="score_yes_no",
        asked=config,
    )


def _make_items(scenes: Sequence[Sample], generator: np.random.Generator) -> Iterator[Item]:
    present = [ask for number, scene in enumerate(scenes) for ask in _ask_present(number, scene)]
    asked = match_negatives(present, generator).asked
    for count, ask in enumerate(_drop_parts_of_texts(asked, scenes)):
        called = (
            f'the text "{ask.name}"'
            if ask.kind == TEXT
            else f"{choose_article(ask.name)} {ask.name}"
        )
        yield choice_item(
            scenes[ask.scene],
            count,
            question=PRESENCE.format(called),
            candidates=CANDIDATES,
            answer=CANDIDATES[0] if ask.present else CANDIDATES[1],
        )


def _ask_present(number: int, scene: Sample) -> list[PresenceQuestion]:
    kinds = {
        region.name: TEXT if is_text(region) else group_of(region.source)
        for region in reversed(scene.regions)
    }
    return [PresenceQuestion(number, name, kind, present=True) for name, kind in kinds.items()]


def _drop_parts_of_texts(
    asked: Sequence[PresenceQuestion], scenes: Sequence[Sample]
) -> list[PresenceQuestion]:
    """Without texts that are called absent and stand within a longer one; as many present ones go.

    "coin" is on a page that says "coin flip".
    """
    wrong = {
        ask for ask in asked if not ask.present and _stands_within(ask.name, scenes[ask.scene])
    }
    surplus = Counter(ask.name for ask in wrong)
    kept = []
    for ask in asked:
        if ask.present and surplus[ask.name]:
            surplus[ask.name] -= 1
        elif ask not in wrong:
            kept.append(ask)
    return kept


def _stands_within(name: str, scene: Sample) -> bool:
    return any(name in region.phrase for region in scene.regions if is_text(region))
