"""`diglot convert` as a user runs it."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from diglot.core.errors import ConfigError
from diglot.data.records import open_dataset, write_dataset
from tests.cli_runner import run_diglot
from tests.data.formats.foreign import make_conversation, make_sample, save_image, save_json, write


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    images, rows = [], []
    for number in range(3):
        save_image(tmp_path / f"val/{number}.jpg", seed=number)
        images.append({"id": number, "file_name": f"{number}.jpg", "width": 32, "height": 24})
        rows.append({"id": number, "image_id": number, "category_id": 1, "bbox": [1, 2, 3, 4]})
    images.append({"id": 9, "file_name": "gone.jpg", "width": 32, "height": 24})
    categories = [{"id": 1, "name": "dog"}]
    content = {"images": images, "annotations": rows, "categories": categories}
    return save_json(tmp_path / "instances.json", content)


def test_from_coco_to_a_dataset(coco: Path, tmp_path: Path, capsys) -> None:
    out, counts = tmp_path / "out", tmp_path / "counts.json"
    command = ["convert", str(coco), "--from", "coco", "--images", str(tmp_path / "val")]
    command += ["--out", str(out), "--json", str(counts), "--options.crowds", "true"]
    assert run_diglot(*command) == 0
    assert json.loads(counts.read_text()) == {
        "out": str(out),
        "kept": 3,
        "rejected": {"no such image file": 1},
        "lost": {},
    }
    dataset = open_dataset(out)
    assert [sample.regions[0].phrase for sample in dataset] == ["dog"] * 3
    assert dataset.info["options"]["crowds"] is True
    [rejected] = (out / "rejected-train.jsonl").read_text().splitlines()
    assert json.loads(rejected)["id"] == "9"
    assert "1 records rejected" in capsys.readouterr().out
    assert run_diglot(*command) == 0  # again: nothing is written twice
    assert len(open_dataset(out)) == 3


def test_from_a_dataset_to_another_format_and_back(tmp_path: Path, capsys) -> None:
    samples = [make_sample(0), make_conversation(1)]
    write_dataset(samples, tmp_path / "data")
    tar = tmp_path / "tar"
    assert run_diglot("convert", tmp_path / "data", "--to", "webdataset", "--out", tar) == 0
    back = tmp_path / "back"
    assert run_diglot("convert", tar, "--from", "webdataset", "--out", back) == 0
    assert list(open_dataset(back)) == samples


def test_settings_that_found_nothing_do_not_bind_the_folder(coco: Path, tmp_path: Path) -> None:
    out, wrong = tmp_path / "out", tmp_path / "wrong"
    wrong.mkdir()
    command = ["convert", str(coco), "--from", "coco", "--out", str(out), "--images"]
    assert run_diglot(*command, str(wrong)) == 2
    assert len((out / "rejected-train.jsonl").read_text().splitlines()) == 4
    assert run_diglot(*command, str(tmp_path / "val")) == 0
    assert len(open_dataset(out)) == 3
    assert len((out / "rejected-train.jsonl").read_text().splitlines()) == 1  # the one that is gone
    assert run_diglot(*command, str(wrong)) == 2  # now they do
    assert len(open_dataset(out)) == 3
    for images in (wrong, tmp_path / "val"):  # another split that found nothing takes none away
        run_diglot(*command, str(images), "--split", "test")
    noted = (out / "rejected-train.jsonl").read_text().splitlines()
    assert json.loads(noted[0])["id"] == "9"


def test_rejected_records_are_listed_of_the_last_call_by_split(coco: Path, tmp_path: Path) -> None:
    out, pictures, lists = tmp_path / "out", tmp_path / "val", ("train", "test")
    command = ["convert", str(coco), "--from", "coco", "--out", str(out)]
    command += ["--images", str(pictures)]
    for split in lists:
        assert run_diglot(*command, "--split", split) == 0
    noted = [(out / f"rejected-{split}.jsonl").read_text() for split in lists]
    assert [len(text.splitlines()) for text in noted] == [1, 1]
    save_image(pictures / "gone.jpg", seed=9)
    assert run_diglot(*command, "--split", "train") == 0
    assert len(open_dataset(out)) == 4
    assert not (out / "rejected-train.jsonl").exists()
    assert (out / "rejected-test.jsonl").read_text() == noted[1]


def test_a_record_that_the_format_cannot_hold(tmp_path: Path, capsys) -> None:
    write_dataset([make_sample(0), make_conversation(1)], tmp_path / "data")
    out = tmp_path / "coco"
    assert run_diglot("convert", tmp_path / "data", "--to", "coco", "--out", out) == 0
    printed = capsys.readouterr().out
    assert "1 records in" in printed
    assert "1 records rejected" in printed
    assert "2 left out: spans not held by the format" in printed
    listed = (tmp_path / "coco.rejected.jsonl").read_text()
    assert run_diglot("convert", tmp_path / "data", "--to", "coco", "--out", out) == 2
    assert (tmp_path / "coco.rejected.jsonl").read_text() == listed  # of what is there
    shutil.rmtree(out)
    write_dataset([make_sample(0)], tmp_path / "mended")
    assert run_diglot("convert", tmp_path / "mended", "--to", "coco", "--out", out) == 0
    assert not (tmp_path / "coco.rejected.jsonl").exists()


def test_mistakes_are_one_line(tmp_path: Path, capsys) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/x").write_text("")
    write_dataset([make_sample(0)], tmp_path / "data")
    here, gone, out = str(tmp_path / "full/x"), str(tmp_path / "x.json"), str(tmp_path / "o")
    for command, words in [
        ([here, "--from", "cocoo", "--out", out], "no part 'cocoo'"),
        ([gone, "--from", "coco", "--images", ".", "--out", out], "no such file or folder"),
        ([here, "--from", "coco", "--from.crowds", "true"], "--options.crowds, if the part has it"),
        ([here, "--to", "coco", "--to.images=x", "--out", out], "no option --to.images"),
        ([here, "--from", "coco", "--images", ".", "--out", out], "not JSON"),
        ([here, "--out", out], "both formats are diglot"),
        (
            [str(tmp_path / "data"), "--to", "coco", "--out", str(tmp_path / "full")],
            "not of this command",
        ),
    ]:
        assert run_diglot("convert", *command) == 2
        assert words in capsys.readouterr().err


def test_what_another_process_wrote_meanwhile_is_not_replaced(tmp_path: Path, monkeypatch) -> None:
    @contextmanager
    def lock_later(target: Path, *, wait: bool) -> Iterator[None]:
        save_json(target / "data.json", [])  # by the one that has just ended
        yield

    monkeypatch.setattr("diglot.data.convert.lock_folder", lock_later)
    with pytest.raises(ConfigError, match="holds files that are not of this command"):
        write("llava_json", [make_sample(0)], tmp_path)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["data.json"]
