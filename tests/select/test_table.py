"""Reading a table of settings: what is wrong is said with its place."""

import numpy as np
import pytest

from diglot.core.errors import DataError
from diglot.select.table import read_table


def write(tmp_path, text):
    path = tmp_path / "scores.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_columns_come_back_as_numbers(tmp_path):
    table = read_table(write(tmp_path, "family,setting,A,x\nclip,a,-1.5,\nclip,b,-2,NaN\n\n"))
    assert table.settings == ("a", "b")
    np.testing.assert_array_equal(table.column("A"), [-1.5, -2])
    assert np.isnan(table.column("x")).all()
    assert table.only(np.array([False, True])).settings == ("b",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("s,A\n", "no settings"),
        ("", "no settings"),
        ("s,A\na,1,2\n", "row 2: line of the wrong length"),
        ("s,A\na,1\na,2\n", "'a' stands twice"),
        ("s,A,A\na,1,1\n", "column 'A' stands twice"),
        ("s,A\n,1\n", "has no name"),
    ],
)
def test_a_broken_table_is_refused(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read_table(write(tmp_path, text))


def test_a_broken_cell_is_named(tmp_path):
    table = read_table(write(tmp_path, "s,A,B,C\na,1,high,inf\nb,,2,3\n"))
    with pytest.raises(DataError, match="setting 'a', column 'B': not a finite number; got 'high'"):
        table.column("B")
    with pytest.raises(DataError, match="column 'C': not a finite number"):
        table.column("C")
    with pytest.raises(DataError, match="setting 'b' has no value in column 'A'"):
        table.complete(["A"])
    with pytest.raises(DataError, match="no column 'D'; expected one of A, B, C"):
        table.column("D")


def test_no_file_and_no_text_are_named(tmp_path):
    with pytest.raises(DataError, match="cannot read the table"):
        read_table(tmp_path / "none.csv")
    (tmp_path / "b.csv").write_bytes(b"s,A\n\xff\xfe,1\n")
    with pytest.raises(DataError, match="cannot read the table"):
        read_table(tmp_path / "b.csv")
