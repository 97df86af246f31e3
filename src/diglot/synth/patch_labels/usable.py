"""The samples of a dataset whose picture can be labelled."""

from itertools import islice

from PIL import Image

from diglot.core.errors import ConfigError
from diglot.core.types import Sample
from diglot.data.features import sample_picture
from diglot.data.records import Dataset
from diglot.data.rejected import Rejected
from diglot.data.samples import usable_samples

Usable = tuple[Sample, Image.Image]


def open_usable(sample: Sample) -> Usable:
    """A sample and its picture. Raises DataError where that cannot be read."""
    return sample, sample_picture(sample)


def first_usable(dataset: Dataset, count: int, rejected: Rejected) -> list[Usable]:
    """The first samples that can be read. Raises ConfigError where none of many can."""
    tried = range(min(2 * count, len(dataset)))
    opened = usable_samples(dataset, open_usable, rejected.note, indices=tried)
    found = [one for _, one in islice(opened, count)]
    if not found:
        raise ConfigError(
            "no image of the dataset can be read",
            where=str(dataset.folder),
            fix=f"The reasons are in {rejected.path}.",
        )
    return found
