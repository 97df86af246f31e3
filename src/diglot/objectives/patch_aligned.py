"""Patch-aligned: an object's visual tokens point where its label's word embeddings point.

Source: Patch-aligned Eq. 2 and 5; added to the caption loss (Eq. 6, 7) as
`plus: {patch_aligned: {weight: {schedule: linear, start: 0, end: 5}}}`. It reads embeddings alone,
so it costs no pass through the LLM.

Eq. 5 is the mean over the objects of one image and leaves the mean over images open; ours is over
all objects of the optimizer step, so that every object counts alike; `mean_over: images` is Eq. 5
image by image, and its mean over the images of the step.
"""

from collections import Counter
from collections.abc import Sequence as Seq
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Literal

import numpy as np
import torch
from torch.nn.functional import cosine_similarity
from transformers import PreTrainedTokenizerFast

from diglot.core.batch import Batch, ForwardOutput, Reads
from diglot.core.errors import ConfigError
from diglot.core.geometry import TokenGrid
from diglot.core.objective import Prepared, Reduction
from diglot.core.region_cover import region_cover
from diglot.core.types import LossTerms, Region, Sample
from diglot.models.words import label_ids, label_means, row_means

# A cell covered by exactly the least share may come out a rounding error below it.
ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True)
class Config:
    """Options of patch-aligned training."""

    min_cover: float = 0.5
    """A token belongs to an object that covers this share of its cell."""
    regions: Literal["mask", "mask_or_box"] = "mask_or_box"
    """mask = only objects with a mask; mask_or_box = boxes for those without."""
    text: Literal["label", "phrase"] = "label"
    """An object's text: its label ("dog") or its phrase ("the small brown dog")."""
    leading_space: bool = True
    """Is the text tokenised as it stands behind another word (" dog")?"""
    mean_over: Literal["objects", "images"] = "objects"
    """objects = every object of the optimizer step counts alike; images = the mean over an image's
    objects first (Eq. 5 as printed), so an object of a crowded image counts less."""

    def __post_init__(self) -> None:
        if not 0.0 < self.min_cover <= 1.0:
            raise ConfigError(
                "not a share of a cell",
                expected="0 < min_cover <= 1",
                got=self.min_cover,
                where="min_cover",
            )


@dataclass(frozen=True)
class LabelledObject:
    """One object: its visual tokens in the document, and its label's tokens."""

    patch_K: np.ndarray  # int64, never empty
    ids: tuple[int, ...]
    weight: float = 1.0  # in the sum of the loss


class PatchAlignedObjective:
    """L_patch = mean over objects of 1 - cos(mean visual token, mean label embedding) (Eq. 5)."""

    terms = ("patch",)
    reads: frozenset[Reads] = frozenset({"visual", "words"})
    reduction: Reduction = "mean"  # over the objects of the optimizer step

    def __init__(self, config: Config) -> None:
        self.config = config
        self.weights = {"patch": 1.0}

    def prepare(
        self,
        sample: Sample,
        grids: Seq[TokenGrid],
        tokenizer: PreTrainedTokenizerFast,
        rng: torch.Generator,
    ) -> Prepared:
        """A LabelledObject for each object, of any image, that covers a token; there may be none.

        Raises DataError for a mask that cannot be decoded.
        """
        before = [0, *accumulate(map(len, grids))]  # visual tokens of the images before
        made = [
            self._pair(
                region,
                grids[region.image],
                tokenizer,
                first=before[region.image],
                where=f"sample {sample.id!r}, regions[{index}]",
            )
            for index, region in enumerate(sample.regions)
        ]
        found = [
            (region.image, one)
            for region, one in zip(sample.regions, made, strict=True)
            if isinstance(one, LabelledObject)
        ]
        pairs = self._weigh(found)
        notes = Counter(reason for reason in made if isinstance(reason, str))
        images = len({image for image, _ in found})
        count = images if self.config.mean_over == "images" else len(pairs)
        counts = {"patch": float(count)} if pairs else {}
        return Prepared(None, targets=pairs, counts=counts, notes=notes)

    def _weigh(self, found: Seq[tuple[int, LabelledObject]]) -> tuple[LabelledObject, ...]:
        """The pairs; where images count, each with one over the pairs of its image."""
        if self.config.mean_over == "objects":
            return tuple(pair for _, pair in found)
        of_image = Counter(image for image, _ in found)
        return tuple(replace(pair, weight=1.0 / of_image[image]) for image, pair in found)

    def _pair(
        self,
        region: Region,
        grid: TokenGrid,
        tokenizer: PreTrainedTokenizerFast,
        *,
        first: int,
        where: str,
    ) -> LabelledObject | str:
        """The object's tokens and its label's, or the reason why it is left out.

        `first` is the number of the image's first visual token in the document.
        """
        if region.mask is None and self.config.regions == "mask":
            return "object without a mask"
        cover_P = region_cover(region, grid, where=where)
        patch_K = np.flatnonzero(cover_P >= self.config.min_cover - ROUNDING)
        if not len(patch_K):
            return "object covers no visual token enough"
        text = region.name if self.config.text == "label" else region.phrase
        ids = label_ids(text, tokenizer, leading_space=self.config.leading_space)
        return LabelledObject(first + patch_K, ids) if ids else "object's label has no tokens"

    def loss(self, out: ForwardOutput, batch: Batch) -> LossTerms:
        """Weighted sum of 1 - cos over the objects, in float32 (float64 as given); 0 for none."""
        assert out.visual_ND is not None
        assert out.words_VD is not None
        placed = [
            (pair.patch_K + start, pair.ids, pair.weight)
            for start, pairs in zip(batch.visual_start, batch.targets, strict=True)
            for pair in pairs or ()
        ]
        index_K = np.concatenate([np.zeros(0, np.int64), *(patch_K for patch_K, _, _ in placed)])
        object_RD = row_means(out.visual_ND, index_K, [len(patch_K) for patch_K, _, _ in placed])
        label_RD = label_means(out.words_VD, [ids for _, ids, _ in placed])
        loss_R = 1 - cosine_similarity(object_RD, label_RD)
        return LossTerms({"patch": (loss_R * loss_R.new_tensor([w for _, _, w in placed])).sum()})


def build(config: Config) -> PatchAlignedObjective:
    """Called by diglot with the options that recipe and command line gave."""
    return PatchAlignedObjective(config)
