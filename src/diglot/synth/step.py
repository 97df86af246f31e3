"""What a step of synthesis is: drafts in, drafts or drops out, knowing nothing of the engine.

A step is a generator over an iterator of drafts; it takes as many at a time as its model likes.
Nothing vanishes: an image that cannot be used comes out as a `Dropped`, a region that is filtered
stays in its draft's `lost`, each with the step and the reason.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Protocol

import torch
from PIL import Image

from diglot.core.errors import ConfigError, DataError
from diglot.core.types import Lineage, Region, Sample, Span


@dataclass(frozen=True, kw_only=True)
class Phrase:
    """Words of an object that is to be found in the image: an entity of the caption, or a tag."""

    text: str
    span: Span | None = None
    """Its characters in the caption, where the extractor knows them."""
    occurrence: int | None = None
    """Which occurrence of these words in the caption is meant, from 1, where it is known."""


@dataclass(frozen=True, kw_only=True)
class LostRegion:
    """A region that a step took away, and why; `box` is what came, which may be no box."""

    reason: str
    phrase: str
    step: str = ""
    """The step's name in the recipe; the chain fills it in."""
    box: tuple[float, ...] | None = None
    score: float | None = None


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A sample in the making."""

    sample: Sample
    picture: Image.Image = field(compare=False)
    """RGB, upright, of the sample's size."""
    phrases: tuple[Phrase, ...] = ()
    lost: tuple[LostRegion, ...] = ()

    def with_sample(self, **changes: Any) -> "Draft":
        """The draft with fields of its sample replaced (and checked)."""
        return replace(self, sample=replace(self.sample, **changes))

    def keep_regions(self, kept: Sequence[Region], lost: Iterable[LostRegion] = ()) -> "Draft":
        """The draft with these regions, and those it lost."""
        changed = self.with_sample(regions=tuple(kept))
        return replace(changed, lost=(*self.lost, *lost))


@dataclass(frozen=True, kw_only=True)
class Dropped:
    """An image that is left out: by which step, for which reason (the same for all such images)."""

    id: str
    reason: str
    step: str = ""
    """The step's name in the recipe; the chain fills it in."""
    where: str = ""
    detail: str = ""

    @classmethod
    def from_error(cls, id: str, error: DataError) -> "Dropped":
        """The drop that a DataError stands for."""
        return cls(id=id, reason=error.what, where=error.where or "", detail=str(error)[:2000])


class Step(Protocol):
    """One step. `lineage` is noted in every sample that comes out of it."""

    @property
    def lineage(self) -> Lineage: ...

    def __call__(self, drafts: Iterator[Draft]) -> Iterator[Draft | Dropped]: ...


# What a model may raise for one image; anything else (a full disk, no memory, a bug) stops the run.
IMAGE_ERRORS = (DataError, ValueError, RuntimeError, IndexError, KeyError, TypeError)


def work_in_batches(
    drafts: Iterator[Draft],
    work: Callable[[list[Draft]], Sequence[Draft | Dropped]],
    *,
    size: int,
) -> Iterator[Draft | Dropped]:
    """`work` on `size` drafts at a time; where it fails, on each alone, so that one costs itself.

    `work` returns as many as it was given, in order. What fails alone is dropped with the message.
    """
    while batch := list(islice(drafts, size)):
        yield from _work_or_split(batch, work)


def _work_or_split(
    batch: list[Draft], work: Callable[[list[Draft]], Sequence[Draft | Dropped]]
) -> Iterator[Draft | Dropped]:
    try:
        done = work(batch)
        if len(done) != len(batch):
            raise DataError("another number of results than images", got=len(done))
    except IMAGE_ERRORS as error:
        if is_fatal(error):
            raise
        if len(batch) == 1:
            yield _drop_for(batch[0], error)
            return
        for draft in batch:
            yield from _work_or_split([draft], work)
        return
    yield from done


_DEVICE_ERROR: Any = getattr(torch, "AcceleratorError", ())  # before torch 2.8 by its text alone


def is_fatal(error: BaseException) -> bool:
    """Whether the error is no image's fault, so that the run must stop (and can be resumed)."""
    return isinstance(error, ConfigError | NotImplementedError) or is_device_error(error)


def is_device_error(error: BaseException) -> bool:
    """Whether the device failed (an assertion in a kernel, say): every later call of this process
    fails too, so that images after the one at fault would be dropped for nothing of theirs."""
    if isinstance(error, _DEVICE_ERROR):
        return True
    return isinstance(error, RuntimeError) and str(error).startswith("CUDA error")


def _drop_for(draft: Draft, error: Exception) -> Dropped:
    if isinstance(error, DataError):
        return Dropped.from_error(draft.sample.id, error)
    return Dropped(
        id=draft.sample.id,
        reason=f"the annotator failed ({type(error).__name__})",
        detail=str(error)[:2000],
    )
