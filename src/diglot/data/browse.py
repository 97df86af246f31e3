"""Samples by index from what can be looked at: a dataset folder, or a file of image records."""

import random
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from diglot.core.errors import ConfigError, DataError
from diglot.core.types import Sample
from diglot.data.convert import BAD_ROW
from diglot.data.format import Row
from diglot.data.formats.image_jsonl import Config, ImageJsonl
from diglot.data.json_stream import MAX_LINE_BYTES, open_binary
from diglot.data.raw_record import make_sample
from diglot.data.records import open_dataset
from diglot.data.samples import Samples


class JsonlSamples:
    """The lines of a .jsonl file of image records; a bad line is one bad record."""

    def __init__(self, path: Path) -> None:
        self._path, self._format = path, ImageJsonl(Config(path=path))
        self._offsets: array[int] = array("Q")
        self._numbers: array[int] = array("Q")
        with open_binary(path) as file:
            offset = number = 0
            while line := file.readline(MAX_LINE_BYTES):
                number += 1
                if line.strip():
                    self._offsets.append(offset)
                    self._numbers.append(number)
                offset += len(line)

    def __len__(self) -> int:
        return len(self._offsets)

    def __getitem__(self, index: int) -> Sample:
        """The sample of a line. Raises DataError naming the line."""
        where = f"{self._path.name}:{self._numbers[index]}"
        row = Row(where, self._read_line(index))
        try:
            [record] = self._format.parse(row, Counter())
            return make_sample(record, self._format.box_unit, Counter())
        except DataError as error:
            raise DataError(error.message, where=error.where or where) from error
        except BAD_ROW as error:
            what = f"record has another shape ({type(error).__name__}: {error})"
            raise DataError(what, where=where) from error

    @property
    def ids(self) -> list[str]:
        """The id of every record; of one that cannot be read, its line."""
        return [self._id_of(index) for index in range(len(self))]

    def _id_of(self, index: int) -> str:
        try:
            return self[index].id
        except DataError:
            return f"line {self._numbers[index]}"

    def _read_line(self, index: int) -> bytes:
        with open_binary(self._path) as file:
            file.seek(self._offsets[index])
            return file.readline(MAX_LINE_BYTES)


def open_samples(source: Path, split: str) -> Samples:
    """The samples of a dataset folder's split, or of a .jsonl file. Raises ConfigError."""
    if source.is_file() and source.suffix == ".jsonl":
        return JsonlSamples(source)
    is_labels = (source / "labels.json").is_file()  # their shards hold no pictures
    if source.is_dir() and any(source.glob("*.parquet")) and not is_labels:
        return open_dataset(source, split)
    raise ConfigError(
        "nothing to view here",
        expected="a folder of a dataset, of pairs or of a run, a result of diglot measure (.json), "
        "or a .jsonl file",
        got="a folder with neither" if source.is_dir() else "another kind of file",
        where=str(source),
        fix=_other_page(source),
    )


def _other_page(source: Path) -> str | None:
    """Where the page is of what has one elsewhere."""
    if (source / "labels.json").is_file():
        return f"Labels are seen on their dataset: diglot view DATA --labels {source}."
    page = find_page(source)
    return page and f"Its page is there: {page}."


def find_page(source: Path) -> Path | None:
    """The page that a verb wrote into its folder: of a comparison, a demo, an evaluation."""
    pages = (source / name for name in ("report.html", "answers.html"))
    return next((page for page in pages if page.is_file()), None)


def draw_samples(
    samples: Samples, count: int, seed: int, *, phrase: str | None, most: int
) -> Iterator[int]:
    """Indices at random, without repeats; with `phrase`, of records that have it.

    Args:
        samples: What is drawn from.
        count: How many, at most.
        seed: Of the draw.
        phrase: Words that a region's phrase or label must hold, in any case.
        most: With `phrase`: how many records are read in search of it.
    """
    order: Sequence[int] = random.Random(seed).sample(range(len(samples)), len(samples))
    if phrase is None:
        yield from order[:count]
        return
    for index in order[:most]:
        if count and _has_phrase(samples, index, phrase.lower()):
            count -= 1
            yield index


def _has_phrase(samples: Samples, index: int, phrase: str) -> bool:
    try:
        regions = samples[index].regions
    except DataError:
        return False
    return any(phrase in r.phrase.lower() or phrase in r.name.lower() for r in regions)
