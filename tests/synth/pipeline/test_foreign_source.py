"""Datasets of others as the input of `diglot synth`: annotated anew, their bad rows named."""

import json
from pathlib import Path

import pytest
from tests.cli_runner import run_diglot
from tests.data.formats.foreign import make_sample, save_image, save_json, settings_of, write
from tests.synth.pipeline import toy_annotators as toy

from diglot.data.records import open_dataset

HOPELESS = {**toy.QUICK_STEPS, "enough": {"step": "filters", "min_regions": 99}}


def run(path: Path, out: Path, *more: str, steps: dict = toy.QUICK_STEPS) -> int:
    recipe = save_json(out.parent / "toy.yaml", {"steps": steps})
    return run_diglot("synth", path, "--out", out, "--config", recipe, *more)


@pytest.mark.parametrize("name", ["coco", "webdataset", "pad_json", "grand"])
def test_a_foreign_dataset_is_annotated(name: str, tmp_path: Path) -> None:
    write(name, [make_sample(n) for n in range(3)], tmp_path)
    settings = settings_of(name, tmp_path)
    options = [f"--options.{key}={value}" for key, value in settings.items() if key != "path"]
    out = tmp_path / "made" / "data"
    out.parent.mkdir()
    for _ in range(2):  # the second finds all of it done
        assert run(Path(settings["path"]), out, "--from", name, *options) == 0
    made = open_dataset(out)
    assert len(made) == 3
    assert made[0].caption == make_sample(0).caption
    steps = {line.step for line in made[0].lineage}
    assert {"boxes", "masks"} <= steps
    assert {region.source for region in made[0].regions} == {"toy@first"}


def test_bad_rows_are_listed_and_wrong_options_are_refused(tmp_path: Path, capsys) -> None:
    save_image(tmp_path / "images" / "a.jpg")
    rows = [
        {"image_id": "a.jpg", "size": [32, 24], "caption": "A dog.", "labels": []},
        {"image_id": "gone.jpg", "size": [32, 24], "caption": "A cat.", "labels": []},
    ]
    path, out = save_json(tmp_path / "pad.json", rows), tmp_path / "made" / "data"
    out.parent.mkdir()
    images = f"--options.images={tmp_path / 'images'}"
    assert run(path, out, "--from", "pad_json", images, steps=HOPELESS) != 0
    assert len((out / "rejected-train.jsonl").read_text().splitlines()) == 2
    assert run(path, out, "--from", "pad_json", images) == 0
    lines = (out / "rejected-train.jsonl").read_text().splitlines()
    assert [json.loads(line)["reason"] for line in lines] == ["no such image file"]
    assert run(path, tmp_path / "made" / "b", images) != 0
    assert "Name it with --from" in capsys.readouterr().err
    assert run(path, tmp_path / "made" / "c", "--from", "kitti") != 0
    assert "no part 'kitti'" in capsys.readouterr().err


def test_other_records_after_nothing_came_and_for_another_split(tmp_path: Path, capsys) -> None:
    folders = [tmp_path / name for name in ("a", "b")]
    for index, folder in enumerate(folders):
        folder.mkdir()
        write("coco", [make_sample(n) for n in range(index + 1)], folder)
    out = tmp_path / "made" / "data"
    out.parent.mkdir()

    def synth(folder: Path, *more: str, steps: dict = toy.QUICK_STEPS) -> int:
        settings = settings_of("coco", folder)
        options = [f"--options.{key}={value}" for key, value in settings.items() if key != "path"]
        return run(Path(settings["path"]), out, "--from", "coco", *options, *more, steps=steps)

    assert synth(folders[0], steps=HOPELESS) != 0
    assert synth(folders[1]) == 0
    assert len(open_dataset(out)) == 2
    assert synth(folders[0], "--split", "test") == 0
    assert len(open_dataset(out, "test")) == 1
    capsys.readouterr()
    assert synth(folders[0]) != 0
    assert f"{out}: the split 'train' there was made with other settings" in "".join(
        capsys.readouterr().err.splitlines()
    )
    assert synth(folders[1]) == 0


def test_a_lost_shard_is_made_again_beside_a_repeated_id(tmp_path: Path) -> None:
    save_image(tmp_path / "images" / "a.jpg")
    row = {"image_id": "a.jpg", "size": [32, 24], "caption": "A dog.", "labels": []}
    path, out = save_json(tmp_path / "pad.json", [row, row]), tmp_path / "made" / "data"
    out.parent.mkdir()
    images = f"--options.images={tmp_path / 'images'}"
    assert run(path, out, "--from", "pad_json", images) == 0
    assert "repeated id" in (out / "rejected-train.jsonl").read_text()
    (out / "train-00000.parquet").unlink()
    assert run(path, out, "--from", "pad_json", images) == 0
    assert len(open_dataset(out)) == 1
