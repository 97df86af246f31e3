"""A dataset folder as a source: its records are annotated further, or anew."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from diglot.core.errors import DataError
from diglot.core.types import Sample
from diglot.data.records import Dataset, open_dataset
from diglot.synth.step import Dropped


class DatasetSource:
    """The captioned images of a split, by index."""

    def __init__(self, folder: Path, split: str) -> None:
        self._dataset: Dataset = open_dataset(folder, split)

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
