"""Text that is no UTF-8 and damaged pages cost the records they stand in, whatever reads them."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from diglot.core.errors import DataError
from diglot.data.check import check_dataset
from diglot.data.checks.rows import Settings
from diglot.data.records import open_dataset, write_dataset
from diglot.data.rejected import Rejected
from diglot.data.samples import usable_samples
from diglot.data.schema import arrow_schema, to_row
from diglot.data.stored_rows import UnreadableRow, decode_texts, list_rows
from diglot.synth.words.captions import read_captions
from tests.data.pictures import sample

NO_TEXT = b"\xff\xfe dog"


def unchecked_strings(values: list[bytes | None]) -> pa.Array:
    """As Parquet's writers take them: no text is checked."""
    made = pa.array(values, pa.binary())
    return pa.Array.from_buffers(pa.string(), len(made), made.buffers())


def with_bad_text(folder: Path, column: str) -> Path:
    """A dataset whose third record has no UTF-8 in a column."""
    rows = [to_row(sample(i)) for i in range(5)]
    values = [row[column].encode() for row in rows]
    values[2] = NO_TEXT
    table: Any = pa.Table.from_pylist(rows, schema=arrow_schema())
    place = table.schema.get_field_index(column)
    folder.mkdir()
    table = table.set_column(place, column, unchecked_strings(values))
    pq.write_table(table, folder / "train-00000.parquet")
    return folder


def with_bad_page(folder: Path, column: str) -> Path:
    """A dataset of three shards; the second's page of a column begins with zeros."""
    write_dataset([sample(i) for i in range(6)], folder, shard_samples=2)
    shard = folder / "train-00001.parquet"
    group, content = pq.read_metadata(shard).row_group(0), bytearray(shard.read_bytes())
    parts = [group.column(number) for number in range(group.num_columns)]
    part = next(part for part in parts if part.path_in_schema.startswith(column))
    start = part.dictionary_page_offset or part.data_page_offset
    content[start : start + 6] = bytes(6)
    shard.write_bytes(content)
    return folder


def used_and_rejected(folder: Path, tmp_path: Path) -> tuple[list[str], Rejected]:
    rejected = Rejected(tmp_path / "rejected.jsonl")
    used = usable_samples(open_dataset(folder), lambda one: one.id, rejected.note)
    return [id for _, id in used], rejected


@pytest.mark.parametrize("column", ["caption", "id"])
def test_text_that_is_no_utf8_costs_its_record(tmp_path: Path, column: str) -> None:
    folder = with_bad_text(tmp_path / "data", column)
    ids, rejected = used_and_rejected(folder, tmp_path)
    assert ids == [sample(i).id for i in (0, 1, 3, 4)]
    assert rejected.counts == {"text is not UTF-8": 1}
    with pytest.raises(DataError, match=rf"train-00000\.parquet, sample .*, {column}: text is not"):
        open_dataset(folder)[2]
    result = check_dataset(folder, settings=Settings(), duplicate_bits=-1)
    assert (result.unusable, dict(result.faults)) == (1, {"record cannot be used": 1})


@pytest.mark.parametrize("column", ["id", "sizes_hw", "caption", "regions"])
def test_a_damaged_page_costs_the_records_of_its_rows(tmp_path: Path, column: str) -> None:
    folder = with_bad_page(tmp_path / "data", column)
    dataset = open_dataset(folder)
    ids, rejected = used_and_rejected(folder, tmp_path)
    assert ids == [sample(i).id for i in (0, 1, 4, 5)]
    assert len(rejected) == 2
    known = [sample(i).id for i in range(6)]
    assert list(dataset.ids) == ([*known[:2], "", "", *known[4:]] if column == "id" else known)
    sizes = [size for sizes in dataset.sizes_hw for size in sizes]
    assert [size == (0, 0) for size in sizes] == [
        i in (2, 3) and column == "sizes_hw" for i in range(6)
    ]
    assert len(dataset.labels) == len(dataset.conversations) == 6


def test_words_are_read_past_bad_captions(tmp_path: Path) -> None:
    for make, lost in ((with_bad_text, {2}), (with_bad_page, {2, 3})):
        folder = make(tmp_path / make.__name__, "caption")
        rejected = Rejected(tmp_path / f"{make.__name__}.jsonl")
        captions = list(read_captions(folder, "train", rejected))
        expected = [sample(i).caption for i in range(len(captions))]
        assert captions == ["" if i in lost else text for i, text in enumerate(expected)]
        assert len(rejected) == 1


def test_rows_and_texts_one_by_one() -> None:
    texts = unchecked_strings([b"a", NO_TEXT, None])
    assert decode_texts(texts).to_pylist() == ["a", None, None]
    rows = list_rows(pa.table({"id": texts, "n": [1, 2, 3]}))
    assert rows == [{"id": "a", "n": 1}, {"n": 2}, {"id": None, "n": 3}]
    assert [isinstance(row, UnreadableRow) for row in rows] == [False, True, False]
