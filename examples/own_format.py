"""A dataset format of your own: lines of "image path<tab>caption". From the folder above:

diglot convert captions.tsv --from examples.own_format --images pictures --out data/mine
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from diglot.core.errors import ConfigError, DataError
from diglot.data.format import CAPTION, Row, SampleWriter
from diglot.data.image_files import find_image
from diglot.data.raw_record import BoxUnit, RawRecord


@dataclass(frozen=True, kw_only=True)
class Config:
    """Where the files lie; --images sets `images`, --options.NAME another field."""

    path: Path
    """The file of lines."""
    images: Path
    """The folder that image paths count from."""


class Tsv:
    """Reads lines of an image's path and its caption."""

    box_unit: BoxUnit = "xyxy"  # of regions, which this format has not
    holds = frozenset((CAPTION,))

    def __init__(self, config: Config) -> None:
        self._config = config

    def rows(self, lost: Counter[str]) -> Iterator[Row]:
        """A row a line."""
        path = self._config.path
        with open(path, encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                yield Row(where=f"{path}:{number}", value=line.rstrip("\n"))

    def parse(self, row: Row, lost: Counter[str]) -> Iterator[RawRecord]:
        """The line's record. Raises DataError for a line that is none: it alone is rejected."""
        name, tab, caption = row.value.partition("\t")
        if not tab:
            raise DataError("no tab", expected="image path<tab>caption", where=row.where)
        image = find_image(self._config.images, name)
        yield RawRecord(id=image.stem, images=(image,), caption=caption)

    def write(self, folder: Path, lost: Counter[str]) -> AbstractContextManager[SampleWriter]:
        """Raises ConfigError: this format is only read."""
        raise ConfigError("examples.own_format is only read", where="--to")


def build(config: Config) -> Tsv:
    """What diglot calls."""
    return Tsv(config)
