"""Which sign a pair of towers needs: do patches of an object agree with its name, or disagree?

SEA negates the cosine for CLIP, whose patch tokens point away from the words for what they show.
Where regions are known this can be seen: a patch inside an object's box should score higher for its
name than one outside.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from diglot.core.types import Sample
from diglot.metrics.auc import area_under_curve
from diglot.synth.patch_labels.word_labeller import WordLabeller

PAPER = {"clip": -1}  # the paper names no other tower: +1
INSIDE = 0.5


@dataclass(frozen=True)
class Sign:
    """The sign chosen, and why."""

    value: int
    auc: float | None  # of +1, mean over regions: a patch inside against one outside, by the cosine
    regions: int

    def describe(self) -> str:
        """One line for the log: the sign, and on what evidence."""
        if self.auc is None:
            return f"sign {self.value:+d}: the paper's; no known region has a word of the list"
        agreed = self.auc if self.value > 0 else 1 - self.auc
        return (
            f"sign {self.value:+d}: a patch inside an object scores higher for its name than one "
            f"outside in {agreed:.0%} of pairs ({1 - agreed:.0%} with the other sign), "
            f"{self.regions} regions"
        )


def choose_sign(
    labeller: WordLabeller, samples: Sequence[Sample], pictures: Sequence[Image.Image], family: str
) -> Sign:
    """The sign under which known regions agree better with their names; else the paper's."""
    names = {region.name for sample in samples for region in sample.regions}
    numbers = {word: number for number, word in enumerate(labeller.words) if word in names}
    vectors = _pick_vectors(labeller, sorted(numbers.values())) if numbers else {}
    areas: list[float] = []
    for sample, picture in zip(samples, pictures, strict=True):
        patch_MC = labeller.vectors_of([picture])[0].cpu()
        grid = labeller.preprocess.token_grid(sample.size_hw, patch_px=labeller.patch_px)
        for region in sample.regions:
            inside_M = grid.box_cover(region.box) >= INSIDE
            if region.name in numbers and inside_M.any() and not inside_M.all():
                score_M = (patch_MC @ vectors[numbers[region.name]]).numpy()
                areas.append(area_under_curve(score_M, inside_M))
    if not areas:
        return Sign(PAPER.get(family, 1), None, 0)
    mean = float(np.mean(areas))
    return Sign(1 if mean >= 0.5 else -1, mean, len(areas))


def _pick_vectors(labeller: WordLabeller, wanted: Sequence[int]) -> dict[int, torch.Tensor]:
    """The vectors of some words, picked out of the whole list's pieces."""
    found = {}
    for first, piece in labeller.word_pieces():
        for number in wanted:
            if first <= number < first + len(piece):
                found[number] = piece[number - first].float().cpu()
    return found
