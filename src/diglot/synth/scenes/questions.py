"""Questions about a composed scene with answers that are exactly true, one function a kind.

Where a question alone could betray its answer, the answer is drawn first: yes and no alike often,
none, one and two alike often, each of the nine places alike often. Of presence, which depends on
what a scene lacks, `conversations` sees to the balance.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from diglot.core.box_text import unit_box, write_box
from diglot.core.types import Box, Sample
from diglot.synth.scenes import words
from diglot.synth.scenes.config import ScenesConfig
from diglot.synth.scenes.tint import COLOURS

_T = TypeVar("_T")
Part = str | tuple[int, str]
"""Words, or an object's index with the words for it."""

_OPPOSITE = {
    "to the left of": "to the right of",
    "to the right of": "to the left of",
    "above": "below",
    "below": "above",
}


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """A question and its answer. `objects`: which ones it speaks of."""

    question: tuple[Part, ...]
    answer: tuple[Part, ...]
    objects: frozenset[int] = frozenset()


@dataclass(frozen=True)
class SceneThing:
    """One object of a scene."""

    name: str
    phrase: str  # with its attributes: "small red car"
    box: Box  # xyxy, px

    @property
    def center_xy(self) -> tuple[float, float]:
        """The box's centre, px."""
        return (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2

    @property
    def colour(self) -> str | None:
        """The colour it was given, if any."""
        attributes = self.phrase.removesuffix(self.name).split()
        return next((word for word in attributes if word in COLOURS), None)


@dataclass(frozen=True, kw_only=True)
class QuestionScene:
    """What questions are asked about. `absent`: a kind that it does not show, if one is known."""

    sample: Sample
    config: ScenesConfig
    absent: str | None

    @property
    def things(self) -> list[SceneThing]:
        """Its objects in the order of the regions."""
        return [SceneThing(r.name, r.phrase, r.box) for r in self.sample.regions]

    def naming(self, index: int) -> str | None:
        """Words that mean this object and no other, without an article; None where there are none.

        An object alone of its kind is called by the kind, so that nothing else is given away.
        """
        things = self.things
        name, phrase = things[index].name, things[index].phrase
        if [thing.name for thing in things].count(name) == 1:
            return name
        alone = [thing.phrase for thing in things].count(phrase) == 1
        return phrase if alone and phrase != name else None


Free = Sequence[int]
"""The objects that no other exchange of the conversation speaks of."""
Ask = Callable[[QuestionScene, Free, np.random.Generator], Exchange | None]


def ask_presence(scene: QuestionScene, name: str, rng: np.random.Generator) -> Exchange:
    """Is there a `name`?"""
    found = [i for i, thing in enumerate(scene.things) if thing.name == name]
    one = f"{words.choose_article(name)} "
    named: Part = (found[0], name) if len(found) == 1 else name
    forms = (("Is there ", one, named, " in the picture?"), ("Does it show ", one, named, "?"))
    return Exchange(
        question=_pick_choice(forms, rng),
        answer=("Yes." if found else "No.",),
        objects=frozenset(found),
    )


def ask_total(scene: QuestionScene, free: Free, rng: np.random.Generator) -> Exchange | None:
    """How many objects? Not asked where every scene of these settings has the same number."""
    if len(set(scene.config.objects)) == 1:
        return None
    forms = ("How many objects are in the picture?", "How many things does it show?")
    return Exchange(
        question=(_pick_choice(forms, rng),),
        answer=(_make_sentence(words.number_words(len(scene.things))),),
    )


def ask_count(scene: QuestionScene, free: Free, rng: np.random.Generator) -> Exchange | None:
    """How many of a kind: none, one or two, each as often. Not asked where no kind repeats."""
    by_number = _free_kinds(scene, free)
    if scene.absent is None or not {1, 2} <= set(by_number):
        return None  # else the question would betray which answers there can be
    wanted = int(rng.integers(3))
    name = _pick_choice(by_number[wanted], rng) if wanted else scene.absent
    form = _pick_choice(("How many {} are there?", "How many {} does the picture show?"), rng)
    answer = words.number_words(wanted) if wanted else "none"
    return Exchange(
        question=(form.format(words.pluralise_name(name)),),
        answer=(_make_sentence(answer),),
        objects=frozenset(i for i, thing in enumerate(scene.things) if thing.name == name),
    )


def ask_relation(scene: QuestionScene, free: Free, rng: np.random.Generator) -> Exchange | None:
    """Does one object lie on that side of another? Yes and no alike often."""
    named = [i for i in free if scene.naming(i)]
    if len(named) < 2:
        return None
    first, second = (int(i) for i in rng.permutation(named)[:2])
    things = scene.things
    how = words.name_relation(things[first].center_xy, things[second].center_xy)
    yes = bool(rng.integers(2))
    asked = how if yes else _OPPOSITE[how]
    return Exchange(
        question=(
            "Is the ",
            _name_thing(scene, first),
            f" {asked} the ",
            _name_thing(scene, second),
            "?",
        ),
        answer=("Yes." if yes else "No.",),
        objects=frozenset({first, second}),
    )


def ask_colour(scene: QuestionScene, free: Free, rng: np.random.Generator) -> Exchange | None:
    """What colour is a tinted object? Scenes draw colours alike often, whatever the kind."""
    things = scene.things
    tinted = [i for i in free if things[i].colour and scene.naming(i) == things[i].name]
    if not tinted:
        return None
    index = _pick_choice(tinted, rng)
    forms = (("What colour is the ", "?"), ("Which colour does the ", " have?"))
    before, after = _pick_choice(forms, rng)
    return Exchange(
        question=(before, (index, things[index].name), after),
        answer=(_make_sentence(things[index].colour or ""),),
        objects=frozenset({index}),
    )


def ask_place(scene: QuestionScene, free: Free, rng: np.random.Generator) -> Exchange | None:
    """Where is an object? The commoner its place, the less it is asked for: places even out."""
    named = [i for i in free if scene.naming(i)]
    if not named:
        return None
    index = _pick_choice(named, rng)
    center_xy = scene.things[index].center_xy
    if rng.random() >= _corner_rarity(center_xy, scene.config):
        return None
    forms = (("Where is the ", "?"), ("Where in the picture is the ", "?"))
    before, after = _pick_choice(forms, rng)
    return Exchange(
        question=(before, _name_thing(scene, index), after),
        answer=(_make_sentence(words.name_place(center_xy, scene.config.image_px)),),
        objects=frozenset({index}),
    )


def ask_name(scene: QuestionScene, free: Free, rng: np.random.Generator) -> Exchange | None:
    """What is in a box?"""
    if not free:
        return None
    index = _pick_choice(list(free), rng)
    thing = scene.things[index]
    forms = ("What is in the region {}?", "Name the object in the box {}.")
    question = _pick_choice(forms, rng).format(write_box(unit_box(thing.box, scene.sample.size_hw)))
    answer = (f"{words.choose_article(thing.phrase).capitalize()} ", (index, thing.phrase), ".")
    return Exchange(question=(question,), answer=answer, objects=frozenset({index}))


def ask_box(scene: QuestionScene, free: Free, rng: np.random.Generator) -> Exchange | None:
    """Which box holds an object?"""
    named = [i for i in free if scene.naming(i)]
    if not named:
        return None
    index = _pick_choice(named, rng)
    forms = (("Give the box of the ", "."), ("Which region shows the ", "?"))
    before, after = _pick_choice(forms, rng)
    return Exchange(
        question=(before, _name_thing(scene, index), after),
        answer=(write_box(unit_box(scene.things[index].box, scene.sample.size_hw)),),
        objects=frozenset({index}),
    )


def ask_description(scene: QuestionScene, free: Free, rng: np.random.Generator) -> Exchange:
    """Describe the picture: the scene's caption."""
    answer: list[Part] = []
    at, caption = 0, scene.sample.caption
    spans = {region.span: i for i, region in enumerate(scene.sample.regions) if region.span}
    for (start, end), index in sorted(spans.items()):
        answer += [caption[at:start], (index, caption[start:end])]
        at = end
    forms = ("Describe the picture.", "What does the picture show?")
    return Exchange(question=(_pick_choice(forms, rng),), answer=(*answer, caption[at:]))


# In the order of a conversation: what comes first must not give away the answer of a later one.
QUESTIONS: Mapping[str, Ask] = {
    "total": ask_total,
    "count": ask_count,
    "relation": ask_relation,
    "colour": ask_colour,
    "place": ask_place,
    "name": ask_name,
    "box": ask_box,
    "description": ask_description,
}


def _free_kinds(scene: QuestionScene, free: Free) -> dict[int, list[str]]:
    """By number: the kinds shown so often, all of whose objects are free."""
    names = [thing.name for thing in scene.things]
    found: dict[int, list[str]] = {}
    for name in sorted(set(names)):
        group = {i for i, other in enumerate(names) if other == name}
        if group <= set(free):
            found.setdefault(len(group), []).append(name)
    return found


def _corner_rarity(center_xy: tuple[float, float], config: ScenesConfig) -> float:
    """How often a corner holds an object, over how often the place of this one does; in (0, 1].

    The centre of an object of middling size lies evenly between half its size from either edge.
    """
    inner = config.image_px / 3
    outer = inner - sum(config.object_px) / 4
    if outer <= 0:  # objects so large that their centres never leave the middle
        return 1.0
    in_middle = [inner <= value < 2 * inner for value in center_xy]
    return (outer / inner) ** sum(in_middle)


def _name_thing(scene: QuestionScene, index: int) -> Part:
    return index, scene.naming(index) or scene.things[index].name


def _pick_choice(choices: Sequence[_T], rng: np.random.Generator) -> _T:
    return choices[int(rng.integers(len(choices)))]


def _make_sentence(answer: str) -> str:
    return answer[:1].upper() + answer[1:] + "."
