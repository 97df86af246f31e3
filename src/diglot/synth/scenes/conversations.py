"""Composed scenes as conversations: questions with exact answers, their objects kept as regions.

Scenes 2k and 2k + 1 are asked about the presence of the same kind, which just one of them shows:
over whole pairs a question about a kind is answered yes as often as no, whatever the kind.
"""

import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from diglot.core.conversation import IMAGE_PLACEHOLDER
from diglot.core.errors import ConfigError
from diglot.core.types import Region, Sample, Turn
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


@dataclass(frozen=True, kw_only=True)
class QuestionsConfig:
    """What is asked about a scene."""

    kinds: tuple[str, ...] = KINDS
    """Kinds of questions: presence, total, count, relation, colour, place, name, box,
    description."""
    exchanges: int = 4
    """Most questions in a conversation, each of another kind."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "kinds", tuple(self.kinds))
        if not self.kinds or not set(self.kinds) <= set(KINDS):
            raise ConfigError(
                "unknown kinds of questions",
                expected="some of " + ", ".join(KINDS),
                got=", ".join(self.kinds) or "none",
                where="questions.kinds",
            )
        if self.exchanges < 1:
            raise ConfigError("must be at least 1", got=self.exchanges, where="questions.exchanges")


class ConversationMaker:
    """Makes the conversations of one split: `scenes` with questions in place of the caption."""

    def __init__(self, scenes: SceneMaker, config: QuestionsConfig) -> None:
        self.scenes, self.config, self.split = scenes, config, scenes.split

    @property
    def info(self) -> dict[str, Any]:
        """How these conversations are made: two equal infos give equal ones."""
        made = {"version": QUESTIONS_VERSION, **asdict(self.config)}
        return self.scenes.info | {"questions": made}

    def scene_id(self, index: int) -> str:
        """The id of conversation `index`: its scene's."""
        return self.scenes.scene_id(index)

    def scene(self, index: int) -> Sample:
        """Conversation `index`. Raises DataError where its scene cannot be made."""
        sample = self.scenes.scene(index)
        mine, absent = self._only_here(index), self._only_here(index ^ 1)
        rng, pair_rng = self._rng(index, "own"), self._rng(index // 2, "pair")
        scene = QuestionScene(
            sample=sample, config=self.scenes.config, absent=_pick_name(absent, rng)
        )
        asked: dict[str, Exchange] = {}
        # one coin for both scenes of a pair: is presence asked, and of which of the two's kinds
        coin, share = pair_rng.integers(2), self.config.exchanges / len(self.config.kinds)
        if "presence" in self.config.kinds and pair_rng.random() < share:
            ours = coin == index % 2
            if name := _pick_name(mine if ours else absent, pair_rng):
                asked["presence"] = ask_presence(scene, name, rng)
        self._ask_others(scene, asked, rng)
        exchanges = [asked[kind] for kind in KINDS if kind in asked]
        return _write_conversation(sample, exchanges)

    def _ask_others(
        self, scene: QuestionScene, asked: dict[str, Exchange], rng: np.random.Generator
    ) -> None:
        """Fill `asked` with other kinds in random order, none about an object twice."""
        others = [kind for kind in KINDS if kind in self.config.kinds and kind != "presence"]
        for number in rng.permutation(len(others)):
            if len(asked) >= self.config.exchanges:
                return
            taken = frozenset().union(*(exchange.objects for exchange in asked.values()))
            free = [i for i in range(len(scene.things)) if i not in taken]
            kind = others[number]
            if exchange := QUESTIONS[kind](scene, free, rng):
                asked[kind] = exchange
        if not asked:  # nothing of what was wanted can be asked of this scene
            asked["description"] = QUESTIONS["description"](scene, (), rng)  # type: ignore[assignment]

    def _only_here(self, index: int) -> list[str]:
        """The kinds of scene `index` that the other scene of its pair does not show, sorted."""
        here, there = (set(self.scenes.kinds_of(i)) for i in (index, index ^ 1))
        return sorted(here - there)

    def _rng(self, number: int, what: str) -> np.random.Generator:
        words = f"questions {what} {self.split}"
        return np.random.default_rng([self.scenes.seed, zlib.crc32(words.encode()), number])


def _pick_name(names: Sequence[str], rng: np.random.Generator) -> str | None:
    return names[int(rng.integers(len(names)))] if names else None


def _write_conversation(sample: Sample, exchanges: Sequence[Exchange]) -> Sample:
    """The sample with turns: the image before the first question, a region for every mention.

    Objects that no turn names stay as regions without a span.
    """
    turns: list[Turn] = []
    regions: list[Region] = []
    for number, exchange in enumerate(exchanges):
        opening = () if number else (f"{IMAGE_PLACEHOLDER}\n",)
        question, asked = _write_turn(sample, (*opening, *exchange.question), len(turns))
        answer, answered = _write_turn(sample, exchange.answer, len(turns) + 1)
        turns += [
            Turn(role="user", text=question),
            Turn(role="assistant", text=answer, learn=True),
        ]
        regions += [*asked, *answered]
    named = {region.box for region in regions}
    rest = [replace(r, span=None) for r in sample.regions if r.box not in named]
    return replace(sample, caption="", turns=tuple(turns), regions=(*regions, *rest))


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
