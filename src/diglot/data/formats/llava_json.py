"""LLaVA's JSON (Liu et al. 2023): the 558k of pretraining and the instruction mixtures.

One list of {id, image, conversations}; see `_llava`. The pretraining file is read as captions
where asked.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from diglot.core.types import Sample
from diglot.data.format import CAPTION, CONVERSATION, MANY_IMAGES, Row
from diglot.data.formats import _llava
from diglot.data.image_files import ImageWriter, find_image
from diglot.data.json_stream import ArrayFile, read_items
from diglot.data.raw_record import BoxUnit, RawRecord


@dataclass(frozen=True, kw_only=True)
class Config:
    """Where the files lie, and how to read them."""

    path: Path
    """The JSON file."""
    images: Path
    """The folder that image paths count from."""
    captions: bool = False
    """Read answers as captions: for the pretraining file."""
    number_ids: bool = False
    """Add the record's number to its id: mixtures such as llava_v1_5_mix665k repeat ids."""


def build(config: Config) -> "LlavaJson":
    """The format with its settings."""
    return LlavaJson(config)


class LlavaJson:
    """Reads and writes LLaVA's JSON."""

    box_unit: BoxUnit = "xyxy"
    holds = frozenset((CAPTION, CONVERSATION, MANY_IMAGES))

    def __init__(self, config: Config) -> None:
        self._config = config

    def rows(self, lost: Counter[str]) -> Iterator[Row]:
        """A row a record."""
        return read_items(self._config.path)

    def parse(self, row: Row, lost: Counter[str]) -> Iterator[RawRecord]:
        """The row's record."""
        config, record = self._config, row.value
        images = tuple(find_image(config.images, n) for n in _llava.image_names(record))
        id = _llava.record_id(record, row.number, number_ids=config.number_ids)
        yield _llava.read_conversation(record, images, id, captions=config.captions)

    @contextmanager
    def write(self, folder: Path, lost: Counter[str]) -> Iterator["LlavaJsonWriter"]:
        """A writer of data.json and images/ in `folder`."""
        writer = LlavaJsonWriter(folder, lost)
        yield writer
        writer.save()


class LlavaJsonWriter:
    """Writes samples as LLaVA's JSON."""

    def __init__(self, folder: Path, lost: Counter[str]) -> None:
        self._folder, self._lost = folder, lost
        self._images, self._list = ImageWriter(folder / "images", lost), ArrayFile(("",))

    def add(self, sample: Sample) -> None:
        """Write one sample."""
        self._list.add("", _llava.conversation_json(sample, self._images, self._lost))

    def save(self) -> None:
        """Write the list."""
        self._list.save(self._folder / "data.json")
