"""The steps of a recipe, one behind the other, over the images of one slice."""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from diglot.core.errors import DataError
from diglot.core.types import Sample
from diglot.data.images import decode_image
from diglot.synth.step import Draft, Dropped, Step

OPENING = "open"
Keep = Callable[[Iterator[Draft | Dropped], str], Iterator[Draft | Dropped]]
AHEAD_IMAGES = 16  # pictures that are decoded while a model works


@dataclass
class StepCount:
    """What one step did: images that came out of it, seconds of its own, drops by reason."""

    images: int = 0
    seconds: float = 0.0
    dropped: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)


def open_drafts(samples: Iterable[Sample | Dropped]) -> Iterator[Draft | Dropped]:
    """Each sample with its picture decoded; one whose picture cannot be used is dropped."""
    for sample in samples:
        yield sample if isinstance(sample, Dropped) else _open(sample)


def run_ahead(
    items: Iterator[Draft | Dropped], size: int = AHEAD_IMAGES
) -> Iterator[Draft | Dropped]:
    """`items` in order, the next `size` of them made in a thread while the models work."""
    with ThreadPoolExecutor(1) as pool:
        waiting = deque(pool.submit(next, items, None) for _ in range(size))
        while (item := waiting.popleft().result()) is not None:
            waiting.append(pool.submit(next, items, None))
            yield item


def _open(sample: Sample) -> Draft | Dropped:
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
) -> Iterator[Draft | Dropped]:
    """Drafts through all steps in order.

    `counts` holds a count for each step, which is filled; `keep(items, name)` passes on what comes
    out of a step.
    """
    for name, step in steps.items():
        items = keep(_counted(_apply(step, items, name, counts), name, counts), name)
    return items


def open_counted(
    samples: Iterable[Sample | Dropped], counts: dict[str, StepCount]
) -> Iterator[Draft | Dropped]:
    """The opened drafts, counted as a step of their own."""
    opened = run_ahead(open_drafts(samples))
    return _counted((_named(item, OPENING) for item in opened), OPENING, counts)


def empty_counts(steps: Iterable[str]) -> dict[str, StepCount]:
    """A count for the opening and for each step, in order."""
    return {name: StepCount() for name in (OPENING, *steps)}


def _apply(
    step: Step, items: Iterator[Draft | Dropped], name: str, counts: dict[str, StepCount]
) -> Iterator[Draft | Dropped]:
    """One step; what was dropped before passes by it."""
    passing: list[Dropped] = []
    lineages: dict[str, int] = {}

    def drafts() -> Iterator[Draft]:
        for item in items:
            if isinstance(item, Dropped):
                passing.append(item)
            else:
                lineages[item.sample.id] = len(item.sample.lineage)
                yield item

    for out in step(drafts()):
        yield from passing
        passing.clear()
        before = lineages.pop(out.id if isinstance(out, Dropped) else out.sample.id, None)
        yield _with_lineage(_named(out, name), step, before)
    yield from passing


def _named(out: Draft | Dropped, name: str) -> Draft | Dropped:
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


def _counted(
    items: Iterator[Draft | Dropped], name: str, counts: dict[str, StepCount]
) -> Iterator[Draft | Dropped]:
    """Count what comes out of `name`, and the seconds until it came, those before it included."""
    count = counts[name]
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
        entry.dropped += count.dropped
        entry.lost += count.lost


def own_seconds(counts: Mapping[str, StepCount]) -> dict[str, float]:
    """Each step's own seconds: what the chain up to it took, less the chain before it."""
    names = list(counts)
    total = [counts[name].seconds for name in names]
    return {name: max(0.0, total[i] - (total[i - 1] if i else 0.0)) for i, name in enumerate(names)}


def count_lost(draft: Draft, counts: Mapping[str, StepCount]) -> None:
    """Count the regions that a finished draft lost on its way."""
    for region in draft.lost:
        counts[region.step].lost[region.reason] += 1
