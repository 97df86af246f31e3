"""The records of diglot: Region and Sample (data), Segment and Encoded (LLM input).

All are frozen and checked when made, so code that holds one need not check again.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import numpy as np
import torch

from diglot.core.errors import DataError

Box = tuple[float, float, float, float]
Span = tuple[int, int]
SizeHW = tuple[int, int]

# How far a box may stick out of its image before it is an error: annotators round.
BOX_SLACK_PX = 1.0


@dataclass(frozen=True, kw_only=True)
class Rle:
    """A binary mask in COCO's compressed run-length encoding (column-major)."""

    size_hw: SizeHW
    counts: str


@dataclass(frozen=True, kw_only=True)
class Region:
    """One object of an image and the words for it.

    `label` is the plain name of what is shown ("dog"); `phrase` the words that stand for it, with
    attributes ("the small brown dog"). A region found in the caption has its character span there.
    """

    phrase: str
    box: Box  # xyxy, float pixels of the original image
    span: Span | None = None  # [start, end) characters of the caption
    label: str | None = None
    mask: Rle | None = None
    score: float = 1.0  # grounding confidence in [0, 1]
    source: str = ""  # who or what made it: an annotator's revision, or the pasted picture's id

    def __post_init__(self) -> None:
        x0, y0, x1, y1 = self.box
        if not all(math.isfinite(v) for v in self.box) or x0 >= x1 or y0 >= y1:
            raise DataError("box is empty or not finite", expected="x0 < x1, y0 < y1", got=self.box)
        if self.span is not None and not 0 <= self.span[0] < self.span[1]:
            raise DataError("span is empty", expected="0 <= start < end", got=self.span)
        if not self.phrase.strip():
            raise DataError("phrase is empty", expected="the words for the region")

    @property
    def name(self) -> str:
        """The label, or the phrase where no label is known."""
        return self.label or self.phrase


@dataclass(frozen=True, kw_only=True)
class Lineage:
    """Which step, and which revision of its model, made a part of a record."""

    step: str
    revision: str = ""


@dataclass(frozen=True, kw_only=True)
class PatchLabels:
    """The labels of one image's M patches, best first; a patch may have none.

    Raises DataError where the three differ in shape, or a score is not a finite number above 0.
    """

    cells_M4: np.ndarray  # float64 xyxy on the ORIGINAL image, of all views of the labelling grid
    words: tuple[tuple[str, ...], ...]  # M entries
    scores: tuple[tuple[float, ...], ...]  # M entries, > 0

    def __post_init__(self) -> None:
        counts = [len(row) for row in self.words]
        if self.cells_M4.shape != (len(counts), 4) or counts != [len(row) for row in self.scores]:
            raise DataError(
                "labels and patches do not belong together",
                expected="a cell, words and as many scores for every patch",
                got=f"{self.cells_M4.shape} cells, {sum(counts)} words of {len(counts)} patches, "
                f"{sum(map(len, self.scores))} scores of {len(self.scores)}",
            )
        scores = np.array(list(chain(*self.scores)), np.float64)
        wrong = scores[~((scores > 0) & (scores < np.inf))]
        if len(wrong):
            raise DataError("a label's score is not above 0", got=float(wrong[0]))


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One image with its caption and regions. `image` is an encoded picture or a path to one."""

    id: str
    image: bytes | Path
    size_hw: SizeHW
    caption: str
    regions: tuple[Region, ...] = ()
    lineage: tuple[Lineage, ...] = ()
    patch_labels: PatchLabels | None = field(default=None, compare=False)  # joined when training

    def __post_init__(self) -> None:
        if min(self.size_hw) < 1:
            raise DataError(
                "image size must be positive", got=self.size_hw, where=f"sample {self.id!r}"
            )
        for index, region in enumerate(self.regions):
            _check_region(region, self, where=f"sample {self.id!r}, regions[{index}]")


def _check_region(region: Region, sample: Sample, *, where: str) -> None:
    height, width = sample.size_hw
    x0, y0, x1, y1 = region.box
    slack = BOX_SLACK_PX
    if x0 < -slack or y0 < -slack or x1 > width + slack or y1 > height + slack:
        raise DataError(
            "box lies outside its image",
            expected=f"xyxy within (0, 0, {width}, {height})",
            got=region.box,
            where=f"{where}.box",
        )
    if region.span is not None:
        start, end = region.span
        found = sample.caption[start:end]
        if end > len(sample.caption) or found != region.phrase:
            raise DataError(
                "span does not match its caption",
                expected=f"caption[{start}:{end}] == {region.phrase!r}",
                got=repr(found),
                where=f"{where}.span",
            )
    if region.mask is not None and region.mask.size_hw != sample.size_hw:
        raise DataError(
            "mask and image differ in size",
            expected=sample.size_hw,
            got=region.mask.size_hw,
            where=f"{where}.mask",
        )


@dataclass(frozen=True)
class Image:
    """Segment: every visual token of the image, in the grid's order."""


@dataclass(frozen=True)
class Tokens:
    """Segment: text. `learn` names the loss term that learns these tokens, or is None."""

    ids: tuple[int, ...]
    learn: str | None = None


@dataclass(frozen=True)
class Patches:
    """Segment: some visual tokens of the image, by their index in the grid (one object)."""

    index: tuple[int, ...]


@dataclass(frozen=True)
class Branch:
    """Segment: text that forks off the trunk here; the trunk never sees it."""

    ids: tuple[int, ...]
    learn: str


Segment = Image | Tokens | Patches | Branch
Sequence = tuple[Segment, ...]


@dataclass(frozen=True)
class Encoded:
    """One document laid out for the LLM. All tensors int64; T positions, S supervised pairs.

    A query may carry several targets. Position t is a visual token where visual_T[t] >= 0.
    """

    token_T: torch.Tensor  # word id; 0 at visual tokens
    visual_T: torch.Tensor  # index into the document's visual tokens, -1 = text
    position_T: torch.Tensor  # rotary position; a branch goes on from its fork
    document_T: torch.Tensor  # which document of the row; -1 = padding
    branch_T: torch.Tensor  # 0 = trunk, else the branch's number within the row
    fork_T: torch.Tensor  # row index of the last trunk position seen; itself on the trunk
    query_S: torch.Tensor  # row index whose output predicts the target
    target_S: torch.Tensor  # word id
    term_S: torch.Tensor  # index into `terms`
    terms: tuple[str, ...]
    visual_count: int  # visual tokens this document brings

    def __len__(self) -> int:
        return self.token_T.numel()


@dataclass(frozen=True)
class LossTerms:
    """What an objective hands the loop: summed losses, and figures to log.

    The loop divides the sums by the counts of the whole optimizer step (all micro-batches, all
    processes), so accumulation and data parallelism give the same mean as one large batch.
    """

    sums: Mapping[str, torch.Tensor]
    logs: Mapping[str, float] = field(
        default_factory=dict
    )  # told as they are, averaged over a step
