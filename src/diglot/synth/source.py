"""Where the images of a synthesis come from: a list of items, and a sample for each.

The list is streamed and the items are small (a path, an index), so that a million images cost no
memory; a worker reads the pictures of its own slice alone.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

from diglot.core.errors import ConfigError
from diglot.core.types import Sample
from diglot.data.images import SUFFIXES
from diglot.data.rejected import Rejection
from diglot.data.shards import MANIFEST
from diglot.files import check_readable_folder
from diglot.synth.step import Dropped


class Source(Protocol):
    """Picklable; the same items in the same order every time."""

    def list_items(self) -> Iterator[Any]: ...

    def read_item(self, item: Any) -> Sample | Dropped: ...

    def rejections(self) -> Iterable[Rejection]:
        """What could not become an item."""
        ...

    def describe(self) -> dict[str, Any]: ...


def open_source(images: Path, *, split: str = "train") -> Source:
    """The source that `images` is: a dataset folder, a folder of WebDataset tars, or of pictures.

    Raises ConfigError for a path that is none of them, and for a folder without a picture.
    """
    from diglot.synth.sources.dataset import DatasetSource
    from diglot.synth.sources.folder import FolderSource
    from diglot.synth.sources.webdataset import WebDatasetSource

    check_readable_folder(images, "folder of images")
    if (images / MANIFEST).is_file():
        return DatasetSource(images, split)
    if any(images.glob("*.tar")):
        return WebDatasetSource(images)
    source = FolderSource(images)
    if next(source.list_items(), None) is None:
        raise ConfigError(
            "no pictures in this folder",
            expected="files that end in " + ", ".join(SUFFIXES) + ", in subfolders too",
            where=str(images),
        )
    return source
