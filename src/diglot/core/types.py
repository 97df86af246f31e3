"""The records of diglot: a Sample is a captioned image or a conversation, with its Regions.

All are frozen and checked when made, so code that holds one need not check again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from diglot.core.conversation import Turn, check_turns
from diglot.core.errors import DataError, check_type, locate_errors
from diglot.core.region import Box, Region, Rle, SizeHW, Span, check_pair, is_inside_image

if TYPE_CHECKING:  # help stays fast: records need no torch
    import torch

__all__ = [
    "Box",
    "Lineage",
    "LossTerms",
    "PatchLabels",
    "Region",
    "Rle",
    "Sample",
    "SizeHW",
    "Span",
    "Turn",
]

Picture = bytes | Path  # an encoded picture, or a path to one

# How far a box may stick out of its image before it is an error: annotators round.
BOX_SLACK_PX = 1.0


@dataclass(frozen=True, kw_only=True)
class Lineage:
    """Which step, with which revision of which model and which prompt, made a part of a record."""

    step: str
    model: str = ""
    revision: str = ""
    prompt: str = ""
    """Digest of the prompt."""


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
    """A captioned image with its regions, or a conversation about any number of images.

    A captioned image has one image and a caption, which may be empty; `Sample.captioned` makes it.
    A conversation has turns and no caption. Raises DataError naming the sample and the field.
    """

    id: str
    images: tuple[Picture, ...]
    sizes_hw: tuple[SizeHW, ...]
    """(height, width) in pixels of each image."""
    caption: str = ""
    turns: tuple[Turn, ...] = ()
    regions: tuple[Region, ...] = ()
    lineage: tuple[Lineage, ...] = ()
    patch_labels: PatchLabels | None = field(default=None, compare=False)
    """Of the only image; joined when training."""
    lost: tuple[str, ...] = field(default=(), compare=False)
    """What reading the record left out of its regions, or clipped, by its kind."""

    def __post_init__(self) -> None:
        _check_sample(self)

    @classmethod
    def captioned(
        cls,
        *,
        id: str,
        image: Picture,
        size_hw: SizeHW,
        caption: str,
        regions: tuple[Region, ...] = (),
        lineage: tuple[Lineage, ...] = (),
    ) -> "Sample":
        """One image with its caption and regions."""
        return cls(
            id=id,
            images=(image,),
            sizes_hw=(size_hw,),
            caption=caption,
            regions=regions,
            lineage=lineage,
        )

    @property
    def is_conversation(self) -> bool:
        """Are there turns in place of a caption?"""
        return bool(self.turns)

    @property
    def image(self) -> Picture:
        """The only image. Raises DataError where there is another number of them."""
        self._check_one_image()
        return self.images[0]

    @property
    def size_hw(self) -> SizeHW:
        """(height, width) of the only image. Raises DataError as `image` does."""
        self._check_one_image()
        return self.sizes_hw[0]

    def text_of(self, region: Region) -> str:
        """The text that the region's span counts in: a turn's, or the caption."""
        return self.caption if region.turn is None else self.turns[region.turn].text

    def _check_one_image(self) -> None:
        if len(self.images) != 1:
            raise DataError(
                "not a record of one image",
                expected="exactly one image",
                got=len(self.images),
                where=f"sample {self.id!r}, images",
            )


def _check_sample(sample: Sample) -> None:
    """The whole record, its regions against its images and texts."""
    check_type(sample.id, str, "a string", where=f"sample {sample.id!r}, id")
    where = f"sample {sample.id!r}"
    check_type(sample.caption, str, "a string", where=f"{where}, caption")
    for name in ("images", "sizes_hw", "turns", "regions", "lineage"):
        check_type(getattr(sample, name), tuple, "a tuple", where=f"{where}, {name}")
    _check_images(sample, where=where)
    if sample.turns:
        _check_conversation(sample, where=where)
    elif len(sample.images) != 1:
        raise DataError(
            "a record without turns is one captioned image",
            expected="1 image",
            got=len(sample.images),
            where=f"{where}, images",
        )
    for index, region in enumerate(sample.regions):
        place = f"{where}, regions[{index}]"
        check_type(region, Region, "a Region", where=place)
        with locate_errors(place):
            _check_region_in(region, sample)


def _check_images(sample: Sample, *, where: str) -> None:
    if len(sample.images) != len(sample.sizes_hw):
        raise DataError(
            "images and sizes differ in number",
            expected=f"{len(sample.images)} sizes",
            got=len(sample.sizes_hw),
            where=f"{where}, sizes_hw",
        )
    for index, (image, size_hw) in enumerate(zip(sample.images, sample.sizes_hw, strict=True)):
        expected = "encoded bytes or a pathlib.Path"
        check_type(image, (bytes, Path), expected, where=f"{where}, images[{index}]")
        check_pair(size_hw, where=f"{where}, sizes_hw[{index}]")
        if min(size_hw) < 1:
            raise DataError(
                "image size must be positive", got=size_hw, where=f"{where}, sizes_hw[{index}]"
            )


def _check_conversation(sample: Sample, *, where: str) -> None:
    if sample.caption:
        raise DataError(
            "a conversation has no caption",
            expected="its text in the turns",
            got=repr(sample.caption),
            where=f"{where}, caption",
        )
    check_turns(sample.turns, len(sample.images), where=where)


def _check_region_in(region: Region, sample: Sample) -> None:
    if not 0 <= region.image < len(sample.images):
        raise DataError(
            "no such image",
            expected=f"an index below {len(sample.images)}",
            got=region.image,
            where="image",
        )
    height, width = size_hw = sample.sizes_hw[region.image]
    if not is_inside_image(region.box, size_hw, slack_px=(BOX_SLACK_PX, BOX_SLACK_PX)):
        raise DataError(
            "box lies outside its image",
            expected=f"xyxy within (0, 0, {width}, {height})",
            got=region.box,
            where="box",
        )
    if region.mask is not None and region.mask.size_hw != size_hw:
        raise DataError(
            "mask and image differ in size", expected=size_hw, got=region.mask.size_hw, where="mask"
        )
    _check_span(region, sample)


def _check_span(region: Region, sample: Sample) -> None:
    if region.turn is not None and not 0 <= region.turn < len(sample.turns):
        raise DataError(
            "no such turn",
            expected=f"an index below {len(sample.turns)}",
            got=region.turn,
            where="turn",
        )
    if region.span is None:
        return
    if sample.turns and region.turn is None:
        raise DataError(
            "a span in a conversation names its turn", expected="its index", where="turn"
        )
    start, end = region.span
    text = sample.text_of(region)
    if end > len(text) or text[start:end] != region.phrase:
        name = "caption" if region.turn is None else f"turns[{region.turn}].text"
        raise DataError(
            f"span does not match its {'caption' if region.turn is None else 'turn'}",
            expected=f"{name}[{start}:{end}] == {region.phrase!r}",
            got=repr(text[start:end]),
            where="span",
        )


@dataclass(frozen=True)
class LossTerms:
    """What an objective hands the loop: summed losses, and figures to log.

    The loop divides the sums by the counts of the whole optimizer step (all micro-batches, all
    processes), so accumulation and data parallelism give the same mean as one large batch.
    """

    sums: "Mapping[str, torch.Tensor]"
    logs: Mapping[str, float] = field(default_factory=dict)  # figures to log, averaged over a step
