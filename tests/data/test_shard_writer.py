"""Numbered Parquet files: whole or not there, resumed, and never taken for what they are not."""

import errno
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from diglot.core.errors import DataError
from diglot.data.shard_writer import ShardWriter, read_footer, unreadable_error

SCHEMA = pa.schema([("id", pa.string()), ("n", pa.int64())])


def writer(folder):
    return ShardWriter(folder, "part", SCHEMA, shard_rows=lambda number: 2 + number)


def fill(opened, rows):
    for index in range(len(opened), rows):
        opened.add({"id": f"r{index}", "n": index})


def begin(folder, rows):
    opened = writer(folder)
    fill(opened, rows)
    return opened


def test_rows_come_back_in_files_of_the_sizes_asked_for(tmp_path):
    opened = begin(tmp_path, 7)
    assert (len(opened), opened.rows, len(opened.pending)) == (7, 5, 2)
    opened.flush()
    assert [pq.read_table(p)["n"].to_pylist() for p in sorted(tmp_path.glob("*.parquet"))] == [
        [0, 1],
        [2, 3, 4],
        [5, 6],
    ]
    assert list(opened.digests) == [f"part-0000{i}.parquet" for i in range(3)]


def test_it_resumes_to_the_same_bytes_and_clears_left_overs(tmp_path):
    (tmp_path / "whole").mkdir()
    (tmp_path / "cut").mkdir()
    whole = begin(tmp_path / "whole", 9)
    first = begin(tmp_path / "cut", 6)
    (tmp_path / "cut" / ".part-00002.parquet.x1.tmp").write_bytes(b"torn")
    (tmp_path / "cut" / "other.tmp").write_bytes(b"not ours")
    again = writer(tmp_path / "cut")
    again.resume(first.digests)
    assert len(again) == 5
    fill(again, 9)
    assert again.digests == whole.digests
    assert {p.name for p in (tmp_path / "cut").iterdir()} == {
        *again.digests,
        "other.tmp",
        ".digests.json",
    }


def test_a_file_that_was_not_recorded_is_taken_up_if_it_is_whole(tmp_path):
    begin(tmp_path, 5)
    again = writer(tmp_path)
    again.resume({})
    assert len(again) == 5
    path = tmp_path / "part-00001.parquet"
    content = bytearray(path.read_bytes())
    content[20] ^= 1  # in a page
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"part-00001\.parquet: the file is damaged"):
        writer(tmp_path).resume({})


@pytest.mark.parametrize("damage", [b"", b"\0" * 700, "flip", "swap"])
def test_a_damaged_file_is_named(tmp_path, damage):
    digests = begin(tmp_path, 9).digests
    path = tmp_path / "part-00001.parquet"
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[20] ^= 1
    path.write_bytes(
        (tmp_path / "part-00000.parquet").read_bytes()
        if damage == "swap"
        else content
        if damage == "flip"
        else damage
    )
    with pytest.raises(DataError, match=r"part-00001\.parquet"):
        writer(tmp_path).resume(digests)


def test_a_lost_file_is_written_again_at_the_end_and_named_before_others(tmp_path):
    digests = begin(tmp_path, 9).digests
    last = tmp_path / "part-00002.parquet"
    content = last.read_bytes()
    last.unlink()
    again = writer(tmp_path)
    again.resume(digests)
    fill(again, 9)
    assert last.read_bytes() == content
    (tmp_path / "part-00001.parquet").unlink()
    with pytest.raises(DataError, match=r"missing before part-00002.*part-00001\.parquet"):
        writer(tmp_path).resume(digests)


def test_a_file_that_cannot_be_opened_is_not_called_damaged(tmp_path):
    with pytest.raises(DataError, match=r"cannot be opened.*permissions") as error:
        read_footer(tmp_path / "none.parquet")
    assert "elete" not in str(error.value)
    for problem in (OSError(errno.EACCES, os.strerror(errno.EACCES)), MemoryError("no room")):
        assert "elete" not in str(unreadable_error(tmp_path / "a", problem))
    assert "damaged" in str(unreadable_error(tmp_path / "a", pa.ArrowInvalid("bad magic")))
