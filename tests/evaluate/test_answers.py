"""Answers on disk survive a kill."""

import pytest

from diglot.core.errors import ConfigError, DataError
from diglot.evaluate.answers import Answers, open_answers


def test_a_torn_line_is_cut_off_and_the_rest_kept(tmp_path):
    path = tmp_path / "a.jsonl"
    Answers(path).add({"one": {"text": "x"}, "two": {"log_prob": [1.0]}})
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"key": "thr')
    again = Answers(path)
    assert len(again) == 2
    assert again["one"] == {"text": "x"}
    assert path.read_bytes() == whole
    again.add({"three": {"text": "z"}})
    assert Answers(path)["three"] == {"text": "z"}


def test_a_damaged_line_is_named(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"{}\n")
    with pytest.raises(DataError, match=r"a\.jsonl:1"):
        Answers(path)


def test_a_changed_batch_is_named_and_an_older_line_read(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"key": "old", "answer": {"text": "x"}}\n')
    Answers(path).add({"one": {"text": "12"}, "two": {"text": "y"}})
    assert Answers(path).by_key == {
        "old": {"text": "x"},
        "one": {"text": "12"},
        "two": {"text": "y"},
    }
    path.write_text(path.read_text().replace('"12"', '"13"'))
    with pytest.raises(DataError, match=r"a\.jsonl:2.*changed since"):
        Answers(path)


def test_two_processes_do_not_write_at_once(tmp_path):
    with (
        open_answers(tmp_path, "f" * 64),
        pytest.raises(ConfigError, match="another process"),
        open_answers(tmp_path, "f" * 64),
    ):
        pass
