"""Absent names to ask for, so that names, kinds and images are asked as often absent as present.

Source: POPE (Li et al. 2023, arXiv 2305.10355) matches absent objects by how frequent they are.
Here the present names of all images are shuffled anew among the images, within their kind: every
name is asked as often where it is absent as where it is present, and every image has as many absent
as present names of each kind. A score that ignores the image then has an AUC of exactly one half,
and so has one that ignores the name.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

SWEEPS = 50  # passes of swapping before a name is left out


@dataclass(frozen=True)
class Asked:
    """One question: does this image show this name?"""

    scene: int
    name: str
    kind: str
    present: bool


@dataclass(frozen=True)
class Matched:
    """As many absent as present questions, and how many present ones found no counterpart."""

    asked: tuple[Asked, ...]
    left_out: int


def match_negatives(present: Sequence[Asked], generator: np.random.Generator) -> Matched:
    """The present questions and their absent counterparts.

    `present` holds each name of an image once. What cannot be balanced (a name that every image
    shows) is left out on both sides and counted.
    """
    shown = {(ask.scene, ask.name) for ask in present}
    kept: list[Asked] = []
    absent: list[Asked] = []
    for kind in sorted({ask.kind for ask in present}):
        slots = [ask for ask in present if ask.kind == kind]
        names = _shuffle_names(slots, shown, generator)
        bad = _find_conflicts(slots, names, shown)
        shuffled = [
            Asked(slot.scene, name, kind, present=False)
            for i, (slot, name) in enumerate(zip(slots, names, strict=True))
            if i not in bad
        ]
        absent += shuffled
        shown |= {(ask.scene, ask.name) for ask in shuffled}  # not asked again under another kind
        kept += _drop_unmatched(slots, [(slots[i].scene, names[i]) for i in sorted(bad)])
    return Matched((*kept, *absent), left_out=len(present) - len(kept))


def _shuffle_names(
    slots: list[Asked], shown: set[tuple[int, str]], generator: np.random.Generator
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
    i: int, j: int, slots: list[Asked], names: list[str], shown: set[tuple[int, str]]
) -> None:
    """Exchange the names of two slots where that leaves fewer conflicts."""
    before = _find_conflicts(slots, names, shown)
    names[i], names[j] = names[j], names[i]
    if len(_find_conflicts(slots, names, shown)) >= len(before):
        names[i], names[j] = names[j], names[i]


def _find_conflicts(slots: list[Asked], names: list[str], shown: set[tuple[int, str]]) -> set[int]:
    """Slots whose name the image shows, or asks for a second time."""
    taken: set[tuple[int, str]] = set()
    bad = set()
    for i, (slot, name) in enumerate(zip(slots, names, strict=True)):
        if (slot.scene, name) in shown or (slot.scene, name) in taken:
            bad.add(i)
        taken.add((slot.scene, name))
    return bad


def _drop_unmatched(slots: list[Asked], unmatched: list[tuple[int, str]]) -> list[Asked]:
    """Present questions less one for each unmatched name: the same image's where it shows it."""
    kept = list(slots)
    surplus: Counter[str] = Counter()
    for scene, name in unmatched:
        same = next((ask for ask in kept if (ask.scene, ask.name) == (scene, name)), None)
        if same is None:
            surplus[name] += 1
        else:
            kept.remove(same)
    for name, count in surplus.items():
        for ask in [ask for ask in kept if ask.name == name][:count]:
            kept.remove(ask)
    return kept
