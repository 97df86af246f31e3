import json
from pathlib import Path

import pytest

from diglot.data.records import write_dataset
from tests.cli_runner import run_diglot
from tests.tiny_folders import tiny_samples

pytest.importorskip("textblob")


def test_words_of_a_dataset(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_dataset(tiny_samples(6), tmp_path / "data")
    out, summary = tmp_path / "made" / "words.tsv", tmp_path / "summary.json"
    assert run_diglot("words", tmp_path / "data", "--out", out, "--json", summary) == 0
    counts = json.loads(summary.read_text())
    lines = out.read_text().splitlines()
    assert counts["words"] == len(lines) > 5
    assert counts["first"][0] == lines[0].split("\t")[0]
    captured = capsys.readouterr()
    assert f"{len(lines)} words in" in captured.out
    assert "captions data" in captured.err


def test_places_in_the_picture_are_left_out_but_where_they_are_asked_for(tmp_path: Path) -> None:
    captions, out = tmp_path / "captions.txt", tmp_path / "words.tsv"
    captions.write_text(
        "a picture of a red fox at the top right\nthe right shoe is in the center\n"
    )
    (tmp_path / "mine.txt").write_text("fox\n")

    def list_words(*options: str) -> set[str]:
        assert run_diglot("words", captions, "--out", out, *options) == 0
        return {line.split("\t")[0] for line in out.read_text().splitlines()}

    assert list_words() == {"red fox", "red", "fox", "right shoe", "shoe"}
    assert {"picture", "top right", "right", "center"} < list_words("--not_objects=")
    assert not {"fox", "red fox"} & list_words("--not_objects", str(tmp_path / "mine.txt"))


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["nowhere"], "nowhere: no such file or folder: not there"),
        (["captions.txt", "--min_count", "0"], "min_count: must be above 0; got 0"),
        (
            ["captions.txt", "--not_objects", "nolist"],
            "no list of words 'nolist': not there",
        ),
        (["captions.txt", "--common", "nofile"], "nofile: no file of common words: not there"),
    ],
)
def test_mistakes_are_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    args: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("captions.txt").write_text("a fox\n")
    assert run_diglot("words", *args, "--out", "words.tsv") == 2
    assert message in capsys.readouterr().err
    assert not Path("words.tsv").exists()
