"""Composed scenes as conversations: questions with exact answers, their objects kept as regions.

Scenes 2k and 2k + 1 are asked about the presence of the same kind, which just one of them shows:
over whole pairs a question about a kind is answered yes as often as no, whatever the kind.
"""

import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from diglot.core.box_text import unit_box, write_box
from diglot.core.conversation import IMAGE_PLACEHOLDER
from diglot.core.errors import ConfigError
from diglot.core.types import Region, Sample, Turn
from diglot.synth.scenes import words
from diglot.synth.scenes.compose import SceneMaker
from diglot.synth.scenes.config import ScenesConfig
from diglot.synth.scenes.questions import (
    QUESTIONS,
    Exchange,
    Part,
    QuestionScene,
    ask_presence,
)

# Bumped when the same scene no longer gets the same questions.
QUESTIONS_VERSION = 1
KINDS = ("presence", *QUESTIONS)
# Scenes that leave something to ask: several counts, kinds that repeat, colours and sizes.
VARIED_SCENES = ScenesConfig(
    objects=(2, 5), repeat_probability=0.5, size_probability=0.2, colour_probability=0.6
)


# Settings that came after the first datasets, with the value that those have.
_LATER = {"presences": 1, "shown": "picture"}


@dataclass(frozen=True, kw_only=True)
class QuestionsConfig:
    """What is asked about a scene."""

    kinds: tuple[str, ...] = KINDS
    """Kinds of questions: presence, total, count, relation, colour, place, name, box,
    description."""
    exchanges: int = 4
    """Most questions in a conversation, each of another kind."""
    presences: int = 1
    """Most questions of presence in it, each after another kind of object; together they are one
    of the exchanges."""
    shown: Literal["picture", "words"] = "picture"
    """What is asked about: the picture, or words in its place that name each object and its box.
    What a language model makes of those it can make of a picture that it sees as well."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "kinds", tuple(self.kinds))
        if not self.kinds or not set(self.kinds) <= set(KINDS):
            raise ConfigError(
                "unknown kinds of questions",
                expected="some of " + ", ".join(KINDS),
                got=", ".join(self.kinds) or "none",
                where="questions.kinds",
            )
        for name in ("exchanges", "presences"):
            if (number := getattr(self, name)) < 1:
                raise ConfigError("must be at least 1", got=number, where=f"questions.{name}")


class ConversationMaker:
    """Makes the conversations of one split: `scenes` with questions in place of the caption."""

    def __init__(self, scenes: SceneMaker, config: QuestionsConfig) -> None:
        self.scenes, self.config, self.split = scenes, config, scenes.split

    @property
    def info(self) -> dict[str, Any]:
        """How these conversations are made: two equal infos give equal ones."""
        settings = {k: v for k, v in asdict(self.config).items() if _LATER.get(k) != v}
        made = {"version": QUESTIONS_VERSION, **settings}
        return self.scenes.info | {"questions": made}

    def scene_id(self, index: int) -> str:
        """The id of conversation `index`: its scene's."""
        return self.scenes.scene_id(index)

    def scene(self, index: int) -> Sample:
        """Conversation `index`. Raises DataError where its scene cannot be made."""
        sample = self.scenes.scene(index)
        mine, absent = self._only_here(index), self._only_here(index ^ 1)
        rng, names = self._rng(index, "own"), self._draw_presences(index, mine, absent)
        unasked = [name for name in absent if name not in names[1:]]
        scene = QuestionScene(
            sample=sample, config=self.scenes.config, absent=_pick_name(unasked, rng)
        )
        presences = [ask_presence(scene, name, rng) for name in names]
        asked = self._ask_others(scene, presences, rng)
        exchanges = [*presences, *(asked[kind] for kind in KINDS if kind in asked)]
        if self.config.shown == "words":
            turns, _ = _write_turns(sample, exchanges, opening=_describe_things(scene))
            return Sample(id=sample.id, images=(), sizes_hw=(), turns=turns, lineage=sample.lineage)
        turns, regions = _write_turns(sample, exchanges, opening=IMAGE_PLACEHOLDER)
        named = {region.box for region in regions}
        rest = [replace(r, span=None) for r in sample.regions if r.box not in named]
        return replace(sample, caption="", turns=turns, regions=(*regions, *rest))

    def _draw_presences(self, index: int, mine: Sequence[str], absent: Sequence[str]) -> list[str]:
        """The kinds whose presence is asked: the same for both scenes of the pair."""
        rng = self._rng(index // 2, "pair")
        coin, share = rng.integers(2), self.config.exchanges / len(self.config.kinds)
        if "presence" not in self.config.kinds or rng.random() >= share:
            return []
        first = _pick_name(mine if coin == index % 2 else absent, rng)
        if first is None:
            return []
        others = sorted({*mine, *absent} - {first})
        return [first, *(others[i] for i in rng.permutation(len(others)))][: self.config.presences]

    def _ask_others(
        self, scene: QuestionScene, presences: Sequence[Exchange], rng: np.random.Generator
    ) -> dict[str, Exchange]:
        """Exchanges of other kinds in random order, none about an object twice."""
        asked: dict[str, Exchange] = {}
        others = [kind for kind in KINDS if kind in self.config.kinds and kind != "presence"]
        for number in rng.permutation(len(others)):
            if len(asked) + bool(presences) >= self.config.exchanges:
                return asked
            taken = frozenset().union(*(e.objects for e in (*presences, *asked.values())))
            free = [i for i in range(len(scene.things)) if i not in taken]
            kind = others[number]
            if exchange := QUESTIONS[kind](scene, free, rng):
                asked[kind] = exchange
        if not presences and not asked:  # nothing of what was wanted can be asked of this scene
            asked["description"] = QUESTIONS["description"](scene, (), rng)  # type: ignore[assignment]
        return asked

    def _only_here(self, index: int) -> list[str]:
        """The kinds of scene `index` that the other scene of its pair does not show, sorted."""
        here, there = (set(self.scenes.kinds_of(i)) for i in (index, index ^ 1))
        return sorted(here - there)

    def _rng(self, number: int, what: str) -> np.random.Generator:
        words = f"questions {what} {self.split}"
        return np.random.default_rng([self.scenes.seed, zlib.crc32(words.encode()), number])


def _pick_name(names: Sequence[str], rng: np.random.Generator) -> str | None:
    return names[int(rng.integers(len(names)))] if names else None


def _describe_things(scene: QuestionScene) -> str:
    """What the scene shows, each object with its box."""
    things = (
        f"{words.choose_article(thing.phrase)} {thing.phrase} at "
        f"{write_box(unit_box(thing.box, scene.sample.size_hw))}"
        for thing in scene.things
    )
    return f"The picture shows {', '.join(things)}."


def _write_turns(
    sample: Sample, exchanges: Sequence[Exchange], *, opening: str
) -> tuple[tuple[Turn, ...], list[Region]]:
    """The turns, `opening` before the first question, and a region for every mention of an object.

    Objects that no turn names have none.
    """
    turns: list[Turn] = []
    regions: list[Region] = []
    for number, exchange in enumerate(exchanges):
        before = () if number else (f"{opening}\n",)
        question, asked = _write_turn(sample, (*before, *exchange.question), len(turns))
        answer, answered = _write_turn(sample, exchange.answer, len(turns) + 1)
        turns += [
            Turn(role="user", text=question),
            Turn(role="assistant", text=answer, learn=True),
        ]
        regions += [*asked, *answered]
    return tuple(turns), regions


def _write_turn(sample: Sample, parts: Sequence[Part], turn: int) -> tuple[str, list[Region]]:
    text, regions = "", []
    for part in parts:
        if isinstance(part, str):
            text += part
            continue
        index, words = part
        span = (len(text), len(text) + len(words))
        region = replace(sample.regions[index], phrase=words, span=span, turn=turn)
        text, regions = text + words, [*regions, region]
    return text, regions
