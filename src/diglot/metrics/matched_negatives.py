"""Absent names to ask for, so that names, kinds and images are asked as often absent as present.

Source: POPE (Li et al. 2023, arXiv 2305.10355) matches absent objects by how frequent they are.
Here the present names of all images are shuffled anew among the images, within their kind: every
name is asked as often where it is absent as where it is present, and every image has as many absent
as present names of each kind. A score that ignores the image then has an AUC of exactly one half,
and so has one that ignores the name. Where names are too few to shuffle so, what is asked is a
largest balanced part: present questions as edges from image to name and absent ones from name to
image are a largest circulation, which passes every name and every image as often in as out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import csr_array

SWEEPS = 50  # passes of swapping before questions are left out


@dataclass(frozen=True)
class PresenceQuestion:
    """One question: does this image show this name?"""

    scene: int
    name: str
    kind: str
    present: bool


@dataclass(frozen=True)
class Matched:
    """As many absent as present questions, and how many present ones found no counterpart."""

    asked: tuple[PresenceQuestion, ...]
    left_out: int


def match_negatives(present: Sequence[PresenceQuestion], generator: np.random.Generator) -> Matched:
    """The present questions and their absent counterparts.

    `present` holds each name of an image once. What cannot be balanced (a name that every image
    shows) is left out on both sides and counted.
    """
    shown = {(ask.scene, ask.name) for ask in present}
    kept: list[PresenceQuestion] = []
    absent: list[PresenceQuestion] = []
    for kind in sorted({ask.kind for ask in present}):
        slots = [ask for ask in present if ask.kind == kind]
        names = _shuffle_names(slots, shown, generator)
        if _find_conflicts(slots, names, shown):
            slots, found = _find_circulation(slots, shown, generator)
        else:
            found = [(slot.scene, name) for slot, name in zip(slots, names, strict=True)]
        kept += slots
        absent += [PresenceQuestion(scene, name, kind, present=False) for scene, name in found]
        shown |= set(found)  # not asked again under another kind
    return Matched((*kept, *absent), left_out=len(present) - len(kept))


def _shuffle_names(
    slots: list[PresenceQuestion], shown: set[tuple[int, str]], generator: np.random.Generator
) -> list[str]:
    """A permutation of the slots' names with as few conflicts as swapping can reach."""
    names = [slots[i].name for i in generator.permutation(len(slots))]
    for _ in range(SWEEPS):
        bad = _find_conflicts(slots, names, shown)
        if not bad:
            break
        for i in sorted(bad):
            _swap_names(i, int(generator.integers(len(slots))), slots, names, shown)
    return names


def _swap_names(
    i: int, j: int, slots: list[PresenceQuestion], names: list[str], shown: set[tuple[int, str]]
) -> None:
    """Exchange the names of two slots where that leaves fewer conflicts."""
    before = _find_conflicts(slots, names, shown)
    names[i], names[j] = names[j], names[i]
    if len(_find_conflicts(slots, names, shown)) >= len(before):
        names[i], names[j] = names[j], names[i]


def _find_conflicts(
    slots: list[PresenceQuestion], names: list[str], shown: set[tuple[int, str]]
) -> set[int]:
    """Slots whose name the image shows, or asks for a second time."""
    taken: set[tuple[int, str]] = set()
    bad = set()
    for i, (slot, name) in enumerate(zip(slots, names, strict=True)):
        if (slot.scene, name) in shown or (slot.scene, name) in taken:
            bad.add(i)
        taken.add((slot.scene, name))
    return bad


def _find_circulation(
    slots: list[PresenceQuestion], shown: set[tuple[int, str]], generator: np.random.Generator
) -> tuple[list[PresenceQuestion], list[tuple[int, str]]]:
    """As many of the slots as can be balanced, and as many absent (image, name) pairs.

    Every image and every name has as many of one as of the other. Of several largest choices the
    generator draws one.
    """
    scenes = sorted({slot.scene for slot in slots})
    names = sorted({slot.name for slot in slots})
    missing = [(s, n) for s in scenes for n in names if (s, n) not in shown]
    pairs = [*((slot.scene, slot.name) for slot in slots), *missing]
    # one row an image and a name, one column a pair: +1 present, -1 absent
    nodes = {node: row for row, node in enumerate((*scenes, *names))}
    sign = np.repeat([1.0, -1.0], [len(slots), len(missing)])
    rows = [nodes[end] for pair in pairs for end in pair]
    columns = np.repeat(np.arange(len(pairs)), 2)
    balance = csr_array((np.repeat(sign, 2), (rows, columns)), shape=(len(nodes), len(pairs)))
    # the draw moves no sum of present pairs by a whole pair, so the choice stays a largest one
    draw = generator.random(len(pairs)) / (2 * len(pairs))
    found = linprog(
        draw - (sign > 0), A_eq=balance, b_eq=np.zeros(len(nodes)), bounds=(0, 1), method="highs-ds"
    )
    chosen = found.x > 0.5  # a vertex of a network's flows is whole
    present = [slot for slot, take in zip(slots, chosen, strict=False) if take]
    return present, [pair for pair, take in zip(missing, chosen[len(slots) :], strict=True) if take]
