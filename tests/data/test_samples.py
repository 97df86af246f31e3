"""Usable samples one after the other; the others noted with sample, file or field, and reason."""

from itertools import islice

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from diglot.core.errors import DataError
from diglot.data.records import open_dataset, write_dataset
from diglot.data.rejected import Rejected, Rejection
from diglot.data.samples import usable_samples, use_sample
from tests.data.pictures import sample


@pytest.fixture
def dataset(tmp_path):
    """Five samples, of which the third has no caption."""
    write_dataset([sample(i) for i in range(5)], tmp_path / "data")
    path = tmp_path / "data" / "train-00000.parquet"
    rows = pq.read_table(path).to_pylist()
    rows[2]["caption"] = None
    rows[2]["id"] = None
    pq.write_table(pa.Table.from_pylist(rows, schema=pq.read_schema(path)), path)
    return open_dataset(tmp_path / "data")


def picky(sample):
    if sample.id.endswith("3"):
        raise DataError("an odd number", where=f"sample {sample.id!r}, caption")
    return sample.id


def test_each_is_used_or_noted_with_its_reason(dataset, tmp_path):
    rejected = Rejected(tmp_path / "rejected.jsonl")
    used = list(usable_samples(dataset, picky, rejected.note))
    assert used == [(0, "s-0000"), (1, "s-0001"), (4, "s-0004")]
    assert len(rejected) == 2
    lines = rejected.path.read_text().splitlines()
    assert '"id": "#2"' in lines[0]
    assert "train-00000.parquet" in lines[0]
    assert '"where": "sample \'s-0003\', caption"' in lines[1]


def test_any_order_and_no_further_than_asked(dataset):
    asked: list[str] = []

    def use(one):
        asked.append(one.id)
        return one.id

    found = usable_samples(dataset, use, lambda rejection: None, indices=[4, 2, 0, 1])
    assert list(islice(found, 2)) == [(4, "s-0004"), (0, "s-0000")]
    assert asked == ["s-0004", "s-0000"]


def test_other_errors_are_not_the_records(dataset):
    with pytest.raises(ZeroDivisionError):
        use_sample(dataset, 0, lambda sample: 1 // 0)
    assert isinstance(use_sample(dataset, 3, picky), Rejection)
