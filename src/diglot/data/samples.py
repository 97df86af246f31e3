"""The records of a dataset that can be used; those that cannot are noted, each with its reason."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol, TypeVar

from diglot.core import masks
from diglot.core.errors import DataError, locate_errors
from diglot.core.types import Sample
from diglot.data.rejected import Rejection, rejection_of

T = TypeVar("T")


class Samples(Protocol):
    """A sequence of samples, as a `Dataset` is; a bad one raises DataError when it is read."""

    @property
    def ids(self) -> Sequence[str]:
        """The id of every sample, in order; of a record without one, its position or nothing."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Sample:
        """The sample. Raises DataError for a bad record."""
        ...


def check_masks(sample: Sample) -> Sample:
    """The sample, once every mask of its regions is known to be readable.

    Reading a record does not read its masks' runs. Raises DataError naming the region.
    """
    for number, region in enumerate(sample.regions):
        if region.mask is not None:
            with locate_errors(f"sample {sample.id!r}, regions[{number}].mask"):
                masks.check_mask(region.mask)
    return sample


def use_sample(samples: Samples, index: int, use: Callable[[Sample], T]) -> T | Rejection:
    """What `use` makes of a sample; a Rejection where it, or reading the record, raises DataError.

    Another error of `use` is ours or the machine's, and is raised.
    """
    try:
        return use(samples[index])
    except DataError as error:
        return rejection_of(samples.ids[index] or f"#{index}", error)


def usable_samples(
    samples: Samples,
    use: Callable[[Sample], T],
    note: Callable[[Rejection], object],
    *,
    indices: Iterable[int] | None = None,
) -> Iterator[tuple[int, T]]:
    """(index, what `use` makes of the sample) of those that can be used, one after the other.

    Args:
        samples: A dataset.
        use: Reads what the caller needs of a sample; raises DataError where it cannot be used.
        note: Takes every rejection, as `Rejected.note` does.
        indices: Which samples, in which order; all in order where not given.
    """
    for index in range(len(samples)) if indices is None else indices:
        made = use_sample(samples, index, use)
        if isinstance(made, Rejection):
            note(made)
        else:
            yield index, made
