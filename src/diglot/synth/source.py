"""Where the images of a synthesis come from: a list of items, and a sample for each.

The list is streamed and the items are small (a path, an index), so that a million images cost no
memory; a worker reads the pictures of its own slice alone.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from diglot.core.errors import ConfigError
from diglot.core.types import Sample
from diglot.data.shards import MANIFEST
from diglot.synth.step import Dropped


class Source(Protocol):
    """Picklable; the same items in the same order every time."""

    def list_items(self) -> Iterator[Any]: ...

    def read_item(self, item: Any) -> Sample | Dropped: ...

    def describe(self) -> dict[str, Any]: ...


def open_source(images: Path, *, split: str = "train") -> Source:
    """The source that `images` is: a dataset folder, a folder of WebDataset tars, or of pictures.

    Raises ConfigError for a path that is none of them.
    """
    from diglot.synth.sources.dataset import DatasetSource
    from diglot.synth.sources.folder import FolderSource
    from diglot.synth.sources.webdataset import WebDatasetSource

    if not images.is_dir():
        raise ConfigError("no such folder of images", got=str(images))
    if (images / MANIFEST).is_file():
        return DatasetSource(images, split)
    if any(images.glob("*.tar")):
        return WebDatasetSource(images)
    return FolderSource(images)
