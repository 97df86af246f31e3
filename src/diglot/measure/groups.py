"""Groups of items by the picture they show: unseen instances apart from pictures seen in training.

A region's source reads "collection/split/picture". Split "test" holds instances that training never
shows; any other split is shown in training too, where only the scene around it is new.
"""

from collections.abc import Callable, Sequence

from diglot.core.errors import DataError
from diglot.core.result import Estimate
from diglot.core.types import Sample

UNSEEN_SPLIT = "test"
OTHER = "other"


def group_of(source: str) -> str:
    """The group of a region by its source."""
    parts = source.split("/")
    if len(parts) < 3:
        return OTHER
    label = "unseen instances" if parts[1] == UNSEEN_SPLIT else "pictures seen in training"
    return f"{label} ({parts[0]})"


def check_apart(held_out: Sequence[Sample], training: Sequence[Sample]) -> None:
    """Raises DataError where an instance that is called unseen stands in a training scene."""
    trained = {region.source for sample in training for region in sample.regions}
    for sample in held_out:
        for region in sample.regions:
            unseen = group_of(region.source).startswith("unseen")
            if unseen and region.source in trained:
                raise DataError(
                    f"picture {region.source!r} is held out, and in a training scene too",
                    where=f"sample {sample.id!r}",
                    fix="Compose held-out scenes from the test split alone.",
                )


def by_group(
    group_N: Sequence[str], estimate: Callable[[list[int]], Estimate]
) -> dict[str, Estimate]:
    """`estimate(indices)` of every group's items, sorted by label; none where no group is known."""
    labels = sorted(set(group_N))
    if labels == [OTHER]:
        return {}
    return {
        label: estimate([i for i, group in enumerate(group_N) if group == label])
        for label in labels
    }
