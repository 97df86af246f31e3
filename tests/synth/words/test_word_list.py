"""Word lists from captions of every kind of source, and reading them again."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tests.tiny_folders import tiny_samples

from diglot.core.errors import ConfigError, DataError
from diglot.core.progress import Progress
from diglot.data.records import write_dataset
from diglot.data.rejected import Rejected
from diglot.synth.words.phrases import find_phrases
from diglot.synth.words.word_list import build_word_list, read_word_list

pytest.importorskip("textblob")
EVENTS: list[Progress] = []


def build(sources: list[Path], out: Path, **changes: Any) -> list[tuple[str, int]]:
    settings: dict[str, Any] = {
        "split": "train",
        "min_count": 1,
        "max_words": None,
        "common": None,
        "rejected": Rejected(out.with_suffix(".rejected")),
        "report": EVENTS.append,
    }
    count = build_word_list(sources, out, **settings | changes)
    lines = [line.split("\t") for line in out.read_text("utf-8").splitlines()]
    assert count == len(lines)
    return [(word, int(number)) for word, number in lines]


def expected(captions: list[str]) -> list[tuple[str, int]]:
    counter = Counter(word for caption in captions for word in find_phrases(caption))
    return sorted(counter.items(), key=lambda pair: (-pair[1], pair[0]))


def test_every_kind_of_source_and_little_memory(tmp_path: Path) -> None:
    samples = tiny_samples(20)
    write_dataset(samples, tmp_path / "data", shard_samples=7)
    text, lines = tmp_path / "more.txt", tmp_path / "more.jsonl"
    text.write_text("a red fox\na fox under an old tree", "utf-8")
    lines.write_text(json.dumps({"caption": "old foxes"}) + "\n\n", "utf-8")
    captions = [s.caption for s in samples]
    captions += ["a red fox", "a fox under an old tree", "old foxes"]
    found = build([tmp_path / "data", text, lines], tmp_path / "words.tsv", memory_words=3)
    assert found == expected(captions)
    assert EVENTS[-3:] == [
        Progress("captions data", 20, 20),
        Progress("captions more.txt", 1, 1),
        Progress("captions more.jsonl", 2, 2),
    ]
    assert read_word_list(tmp_path / "words.tsv").to_pylist() == [word for word, _ in found]


def test_rare_words_and_the_rest_are_left_out(tmp_path: Path) -> None:
    source = tmp_path / "captions.txt"
    source.write_text("a fox\na fox\na cow\n", "utf-8")
    assert build([source], tmp_path / "out.tsv", min_count=2) == [("fox", 2)]
    common = tmp_path / "common.txt"
    common.write_text("owl\ncow\n", "utf-8")
    kept = build([source], tmp_path / "out.tsv", min_count=2, common=common)
    assert kept == [("fox", 2), ("cow", 1), ("owl", 0)]
    assert build([source], tmp_path / "out.tsv", max_words=1) == [("fox", 2)]


def test_common_words_are_nouns_and_adjectives(tmp_path: Path) -> None:
    pytest.importorskip("wordfreq")
    source = tmp_path / "captions.txt"
    source.write_text("a fox\n", "utf-8")
    words = [word for word, _ in build([source], tmp_path / "out.tsv", common=200)]
    assert 200 <= len(words) <= 201
    assert {"fox", "time", "new", "people"} <= set(words)
    assert not {"the", "of", "is", "and"} & set(words)


def test_lines_that_are_no_records_are_rejected(tmp_path: Path) -> None:
    source = tmp_path / "captions.jsonl"
    source.write_bytes(b'{"caption": "a fox"}\nnot json\n{"caption": 3}\n[]\n{"caption": "\xff"}\n')
    rejected = Rejected(tmp_path / "rejected.jsonl")
    assert build([source], tmp_path / "out.tsv", rejected=rejected) == [("fox", 1)]
    assert rejected.counts == {'not a record with a "caption"': 4}


def test_a_failed_build_leaves_the_old_list(tmp_path: Path) -> None:
    write_dataset(tiny_samples(4), tmp_path / "data")
    before = build([tmp_path / "data"], tmp_path / "out.tsv")

    def fail(progress: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build([tmp_path / "data"], tmp_path / "out.tsv", report=fail)
    assert len((tmp_path / "out.tsv").read_text().splitlines()) == len(before)
    assert not list(tmp_path.glob("*.tmp"))


@pytest.mark.parametrize("name", ["nowhere", "words.csv"])
def test_sources_that_hold_no_captions(tmp_path: Path, name: str) -> None:
    (tmp_path / "words.csv").touch()
    with pytest.raises(ConfigError, match="no captions here"):
        build([tmp_path / name], tmp_path / "out.tsv")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"dog\t3\nhot dog\t1\n", ["dog", "hot dog"]),
        (b"dog\nred fox\n\ndog", ["dog", "red fox"]),
        (b'"dog\t1\n#1\t2\n', ['"dog', "#1"]),
    ],
)
def test_lists_of_others_are_read(tmp_path: Path, content: bytes, words: list[str]) -> None:
    (tmp_path / "words.txt").write_bytes(content)
    assert read_word_list(tmp_path / "words.txt").to_pylist() == words


@pytest.mark.parametrize("content", [b"", b"dog\t3\ncat\n", b"a\tb\tc\n", b"\xff\xfe\n"])
def test_what_is_no_list(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "words.txt").write_bytes(content)
    with pytest.raises(DataError, match="not a list of words"):
        read_word_list(tmp_path / "words.txt")


def test_no_list_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="diglot words"):
        read_word_list(tmp_path / "words.txt")
