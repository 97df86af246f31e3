"""A dataset folder as a source: its records are annotated further, or anew."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from diglot.core.errors import DataError
from diglot.core.types import Sample
from diglot.data.records import Dataset, open_dataset
from diglot.data.rejected import Rejection, read_rejections
from diglot.synth.step import Dropped


class DatasetSource:
    """The captioned images of a split, by index; `listed` is what was left out of it, if asked."""

    def __init__(self, folder: Path, split: str, *, listed: Path | None = None) -> None:
        self._dataset: Dataset = open_dataset(folder, split)
        self._listed = listed

    def rejections(self) -> Iterable[Rejection]:
        """The records of which the dataset was made that are not in it."""
        return read_rejections(self._listed) if self._listed else ()

    def list_items(self) -> Iterator[int]:
        """The indices of the records."""
        return iter(range(len(self._dataset)))

    def read_item(self, item: int) -> Sample | Dropped:
        """The record, unless it is broken or a conversation."""
        try:
            sample = self._dataset[item]
        except DataError as error:
            return Dropped.from_error(f"#{item}", error)
        if sample.is_conversation:
            return Dropped(id=sample.id, reason="a conversation, not a captioned image")
        return sample

    def describe(self) -> dict[str, Any]:
        """What the dataset's description says of it."""
        split, fingerprint = self._dataset.split, self._dataset.fingerprint
        return {"kind": "dataset", "split": split, "fingerprint": fingerprint}
