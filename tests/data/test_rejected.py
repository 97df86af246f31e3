import json

import pytest

from diglot.core.errors import DataError
from diglot.data.rejected import Rejected


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_rejection_is_on_disk_at_once_and_once(tmp_path):
    path = tmp_path / "deep" / "rejected.jsonl"
    rejected = Rejected(path)
    assert not path.exists()
    assert rejected.add("a", "box lies outside", where="regions[0]")
    assert lines(path) == [{"id": "a", "reason": "box lies outside", "where": "regions[0]"}]
    assert not rejected.add("a", "box lies outside", where="elsewhere")
    assert rejected.add("a", "span is empty")
    assert len(lines(path)) == len(rejected) == 2


def test_counts_continue_after_a_restart(tmp_path):
    path = tmp_path / "rejected.jsonl"
    first = Rejected(path)
    for id in "abc":
        first.add(id, "too large")
    first.add("a", "empty")
    second = Rejected(path)
    assert second.counts == {"too large": 3, "empty": 1}
    assert not second.add("b", "too large")
    assert second.add("d", "empty")
    assert second.counts == {"too large": 3, "empty": 2}
    assert len(lines(path)) == 5


def test_a_torn_last_line_is_cut_off(tmp_path):
    path = tmp_path / "rejected.jsonl"
    Rejected(path).add("a", "x")
    with open(path, "ab") as file:
        file.write(b'{"id": "b", "rea')
    again = Rejected(path)
    assert again.counts == {"x": 1}
    assert again.add("b", "y")
    assert [line["id"] for line in lines(path)] == ["a", "b"]


def test_a_list_begun_anew_is_empty_and_only_ours_is_deleted(tmp_path):
    path = tmp_path / "rejected.jsonl"
    Rejected(path).add("a", "x")
    assert not Rejected.begin(path).counts
    path.write_text("hello\n")
    with pytest.raises(DataError, match=r"rejected\.jsonl:1"):
        Rejected.begin(path)
    assert path.read_text() == "hello\n"


def test_odd_text_stays_one_line(tmp_path):
    path = tmp_path / "rejected.jsonl"
    odd = "new\nline \u2028 \ud800 <b>"
    Rejected(path).add(odd, odd)
    assert Rejected(path).counts == {odd: 1}


def test_another_file_is_refused(tmp_path):
    path = tmp_path / "rejected.jsonl"
    path.write_text("hello\n")
    with pytest.raises(DataError, match=r"rejected\.jsonl:1"):
        Rejected(path)


def test_the_whole_message_is_kept_beside_the_reason(tmp_path):
    path = tmp_path / "rejected.jsonl"
    rejected = Rejected(path)
    assert rejected.add("a", "box is empty", where="box", detail="box is empty; got (1, 1, 1, 1)")
    assert not rejected.add("a", "box is empty", detail="another detail")
    assert lines(path)[0]["detail"] == "box is empty; got (1, 1, 1, 1)"
    assert Rejected(path).counts == {"box is empty": 1}
