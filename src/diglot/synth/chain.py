"""The steps of a recipe, one behind the other, over the images of one slice."""

import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TypeVar

from diglot.core.errors import DataError
from diglot.core.types import Sample
from diglot.data.images import decode_image
from diglot.synth.step import Draft, Dropped, Step

OPENING = "open"
Keep = Callable[[Iterator[Draft | Dropped], str], Iterator[Draft | Dropped]]
AHEAD_IMAGES = 4  # pictures that are decoded, at least, while a model works
T = TypeVar("T")


@dataclass
class StepCount:
    """What one step did: images that came out of it, seconds of its own, drops by reason."""

    images: int = 0
    seconds: float = 0.0
    """From asking for an image to having it; what waits for steps before it is in `waited_s`."""
    waited_s: float = 0.0
    """The part of `seconds` that went by waiting for what stands before."""
    dropped: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)


def open_drafts(samples: Iterable[Sample | Dropped]) -> Iterator[Draft | Dropped]:
    """Each sample with its picture decoded; one whose picture cannot be used is dropped."""
    for sample in samples:
        yield sample if isinstance(sample, Dropped) else _open_draft(sample)


def run_ahead(
    items: Iterator[T], size: int = AHEAD_IMAGES, *, groups: int = 2, waits: bool = True
) -> Iterator[T]:
    """`items` in order; from now on a thread makes the next `size` of them, `groups` times.

    They change threads `size` at a time: one by one, threads would wait for each other too often.
    `waits`: who stops early waits for what is being made; not where that may never come.
    """
    pool = ThreadPoolExecutor(1)

    def submit() -> Future[list[T]]:
        return pool.submit(lambda: list(islice(items, size)))

    return _take_ahead(submit, pool, deque(submit() for _ in range(groups)), waits)


def _take_ahead(
    submit: Callable[[], Future[list[T]]],
    pool: ThreadPoolExecutor,
    waiting: deque[Future[list[T]]],
    waits: bool,
) -> Iterator[T]:
    try:
        while made := waiting.popleft().result():
            waiting.append(submit())
            yield from made
    finally:  # what is not begun is not made
        pool.shutdown(wait=waits, cancel_futures=True)


def _open_draft(sample: Sample) -> Draft | Dropped:
    try:
        picture = decode_image(sample.image, where=f"sample {sample.id!r}, image")
    except DataError as error:
        return Dropped.from_error(sample.id, error)
    width, height = picture.size
    if (height, width) != sample.size_hw:
        return Dropped(
            id=sample.id,
            reason="size_hw is not the picture's",
            detail=f"{sample.size_hw} given, the upright picture is {(height, width)}",
        )
    return Draft(sample=sample, picture=picture)


def chain_steps(
    items: Iterator[Draft | Dropped],
    steps: Mapping[str, Step],
    counts: dict[str, StepCount],
    *,
    keep: Keep = lambda items, name: items,
    models: Collection[str] = (),
    ahead: int = AHEAD_IMAGES,
) -> Iterator[Draft | Dropped]:
    """Drafts through all steps in order.

    `counts` holds a count for each step, which is filled; `keep(items, name)` passes on what comes
    out of a step. The steps up to the last of `models` run in a thread of their own, one after the
    other, so that their models need not wait for the steps behind them.
    """
    last = next((name for name in reversed(list(steps)) if name in models), None)
    for name, step in steps.items():
        items = keep(
            _count_drafts(_apply_step(step, items, name, counts[name]), name, counts[name]), name
        )
        if name == last:
            items = run_ahead(items, ahead)
    return items


def open_counted(
    samples: Iterable[Sample | Dropped], counts: dict[str, StepCount], *, ahead: int = AHEAD_IMAGES
) -> Iterator[Draft | Dropped]:
    """The opened drafts, counted as a step of their own, which runs ahead of the others."""
    opened = (_name_drop(item, OPENING) for item in open_drafts(samples))
    return run_ahead(_count_drafts(opened, OPENING, counts[OPENING]), ahead)


def empty_counts(steps: Iterable[str]) -> dict[str, StepCount]:
    """A count for the opening and for each step, in order."""
    return {name: StepCount() for name in (OPENING, *steps)}


def _apply_step(
    step: Step, items: Iterator[Draft | Dropped], name: str, count: StepCount
) -> Iterator[Draft | Dropped]:
    """One step; what was dropped before passes by it. Counts the seconds it waits for `items`."""
    passing: list[Dropped] = []
    lineages: dict[str, int] = {}

    def drafts() -> Iterator[Draft]:
        while True:
            began_s = time.perf_counter()
            item = next(items, None)
            count.waited_s += time.perf_counter() - began_s
            if item is None:
                return
            if isinstance(item, Dropped):
                passing.append(item)
            else:
                lineages[item.sample.id] = len(item.sample.lineage)
                yield item

    for out in step(drafts()):
        yield from passing
        passing.clear()
        before = lineages.pop(out.id if isinstance(out, Dropped) else out.sample.id, None)
        yield _with_lineage(_name_drop(out, name), step, before)
    yield from passing


def _name_drop(out: Draft | Dropped, name: str) -> Draft | Dropped:
    """With the step's name in a drop, or in the regions that it lost."""
    if isinstance(out, Dropped):
        return out if out.step else replace(out, step=name)
    if all(region.step for region in out.lost):
        return out
    lost = tuple(region if region.step else replace(region, step=name) for region in out.lost)
    return replace(out, lost=lost)


def _with_lineage(out: Draft | Dropped, step: Step, before: int | None) -> Draft | Dropped:
    """With the step's line, unless the step wrote its own."""
    if isinstance(out, Dropped) or len(out.sample.lineage) != before:
        return out
    return out.with_sample(lineage=(*out.sample.lineage, step.lineage))


def _count_drafts(
    items: Iterator[Draft | Dropped], name: str, count: StepCount
) -> Iterator[Draft | Dropped]:
    """Count what comes out of step `name`, and the seconds until it came."""
    while True:
        began_s = time.perf_counter()
        item = next(items, None)
        count.seconds += time.perf_counter() - began_s
        if item is None:
            return
        if isinstance(item, Draft):
            count.images += 1
        elif item.step == name:
            count.dropped[item.reason] += 1
        yield item


def add_step_counts(total: dict[str, StepCount], own: Mapping[str, StepCount]) -> None:
    """Add the counts of some images to those of all."""
    for name, count in own.items():
        entry = total.setdefault(name, StepCount())
        entry.images += count.images
        entry.seconds += count.seconds
        entry.waited_s += count.waited_s
        entry.dropped += count.dropped
        entry.lost += count.lost


def own_seconds(count: StepCount) -> float:
    """The seconds of a step less those that it waited for the steps before it."""
    return max(0.0, count.seconds - count.waited_s)


def count_lost(draft: Draft, counts: Mapping[str, StepCount]) -> None:
    """Count the regions that a finished draft lost on its way."""
    for region in draft.lost:
        counts[region.step].lost[region.reason] += 1
