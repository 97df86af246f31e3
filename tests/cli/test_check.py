"""`diglot check` as a user runs it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from diglot.data.records import open_dataset, write_dataset
from diglot.data.rejected import read_rejections
from tests.cli_runner import run_diglot
from tests.data.checks.test_check import row, save, with_region
from tests.data.formats.foreign import make_sample
from tests.tiny_folders import save_language


@pytest.fixture
def faulty(tmp_path: Path) -> Path:
    rows = [row(0), row(1, images=None), with_region(2, span=[0, 5]), row(0, id="copy")]
    return save(tmp_path / "faulty", rows)


def test_table_ids_json_and_a_cleaned_copy(faulty: Path, tmp_path: Path, capsys) -> None:
    out, ids, counts = tmp_path / "out", tmp_path / "ids.txt", tmp_path / "counts.json"
    command = ["check", str(faulty), "--json", str(counts), "--rejected", str(ids)]
    assert run_diglot(*command, "--fix", out, "--drop_duplicates") == 0
    printed = capsys.readouterr().out
    assert "4 records, 2 with a fault that costs training the record or a part" in printed
    assert "image is missing" in printed
    assert ids.read_text() == "s1\timage is missing\ns2\tspan does not spell its phrase\n"
    found = json.loads(counts.read_text())
    assert set(found["faults"]) == {
        "image is missing",
        "span does not spell its phrase",
        "near duplicate of another image",
    }
    assert [sample.id for sample in open_dataset(out)] == ["s0", "s2"]
    reasons = [one.reason for one in read_rejections(out / "rejected-train.jsonl")]
    assert sorted(reasons) == ["image is missing", "near duplicate of another image"]


def test_a_copy_of_other_settings_is_left_alone(faulty: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "out"
    assert run_diglot("check", faulty, "--fix", out, "--drop_duplicates") == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    assert run_diglot("check", faulty, "--fix", out) == 2
    assert "other settings" in capsys.readouterr().err
    write_dataset([make_sample(0)], tmp_path / "mine")
    assert run_diglot("check", faulty, "--fix", tmp_path / "mine") == 2
    assert not (tmp_path / "mine" / "rejected.jsonl").exists()
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_strict_fails_only_where_something_is_wrong(faulty: Path, tmp_path: Path) -> None:
    assert run_diglot("check", faulty) == 0
    assert run_diglot("check", faulty, "--strict") == 1
    write_dataset([make_sample(0)], tmp_path / "good")
    assert run_diglot("check", tmp_path / "good", "--strict") == 0


def test_a_grid_by_hand(tmp_path: Path, capsys) -> None:
    write_dataset([make_sample(0)], tmp_path / "good")
    command = ["check", str(tmp_path / "good"), "--grid.patch_px", "14"]
    command += ["--grid.preprocess.mode", "center_crop", "--grid.preprocess.image_px", "28"]
    assert run_diglot(*command) == 0
    assert "covers no" not in capsys.readouterr().out


def test_a_tokenizer_counts_tokens(tmp_path: Path, capsys) -> None:
    save_language(tmp_path / "language")
    sample = make_sample(0)
    long = replace(sample, id="s1", caption="x " * 90, regions=())
    write_dataset([sample, long], tmp_path / "d")
    command = ["check", tmp_path / "d", "--tokenizer", tmp_path / "language"]
    assert run_diglot(*command, "--max_tokens", 64) == 0
    assert "caption is longer than the model" in capsys.readouterr().out


def test_mistakes_are_one_line(faulty: Path, tmp_path: Path, capsys) -> None:
    for options, words in [
        (["--fix", str(faulty)], "cannot be the dataset itself"),
        (["--max_tokens", "9"], "go together"),
        (["--split", "dev"], "no split"),
        (["--duplicate_bits", "20"], "duplicate_bits"),
    ]:
        assert run_diglot("check", faulty, *options) == 2
        assert words in capsys.readouterr().err


@pytest.mark.embedded
def test_against_the_model_of_a_recipe(tmp_path: Path, capsys) -> None:
    sample = make_sample(0)
    write_dataset(
        [sample, replace(sample, id="s1", caption="x " * 9000, regions=())], tmp_path / "d"
    )
    assert run_diglot("check", tmp_path / "d", "--recipe", "embedded/code_switch") == 0
    printed = capsys.readouterr().out
    assert "caption is longer than the model" in printed
    assert run_diglot("check", tmp_path / "d", "--recipe", "embedded/none") == 2
