import json

import numpy as np
import pytest

from diglot.config.parts import build_part
from diglot.core.preprocess import Preprocess
from diglot.data.labels import open_labels
from diglot.data.records import open_dataset, write_dataset
from tests.cli_runner import run_diglot
from tests.synth.patch_labels.pairs import save_pair
from tests.tiny_folders import tiny_samples


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    write_dataset(tiny_samples(6), folder / "data")
    save_pair(folder / "clip", "clip")
    (folder / "words.tsv").write_text("dog\t9\nred car\t4\nguitar\t1\n")
    return folder


def run(world, out, *args):
    return run_diglot("label", f"{world}/data", f"--out={out}", *args)


def test_towers_label_a_dataset(world, tmp_path, capsys, caplog):
    args = ["--labeller=clip", f"--path={world}/clip", f"--words={world}/words.tsv"]
    args += ["--sign=1"]
    assert run(world, tmp_path / "labels", *args, "--keep=2", f"--json={tmp_path}/x.json") == 0
    labels = open_labels(tmp_path / "labels", open_dataset(world / "data"))
    found = {word for row in labels[0].words for word in row}
    assert found
    assert found <= {"dog", "red car", "guitar"}
    assert max(len(row) for row in labels[0].words) <= 2
    summary = json.loads((tmp_path / "x.json").read_text())
    assert summary["samples"] == 6
    assert summary["sign"] == 1
    assert "sign" in capsys.readouterr().out
    assert run(world, tmp_path / "labels", *args, "--keep=2") == 0  # again: nothing to do
    assert run(world, tmp_path / "labels", *args, "--keep=1") == 2
    assert "another way" in capsys.readouterr().err
    other = [*args[:-1], "--sign=-1"]  # this pair's cosines are all above 0
    assert run(world, tmp_path / "other", *other) == 0
    assert "no patch has a label" in caplog.text
    assert run(world, tmp_path / "auto", *args[:-1]) == 0
    assert "a patch inside an object scores higher" in capsys.readouterr().out.replace("\n", " ")


def test_regions_label_a_dataset(world, tmp_path):
    assert run(world, tmp_path / "labels", "--labeller=regions") == 0
    labels = open_labels(tmp_path / "labels", open_dataset(world / "data"))
    assert any(row for row in labels[0].words)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--labeller=clip"], "needs a checkpoint and a word list"),
        (["--labeller=clip", "--path=/no/such", "--words={world}/words.tsv"], "/no/such"),
        (["--labeller=siglip", "--path={world}/clip", "--words={world}/words.tsv"], "siglip"),
        (["--labeller=clip", "--path={world}/clip", "--words=/no/list"], "/no/list"),
        (["--labeller=clpi"], "clpi"),
        (["--labeller=regions", "--keep=0"], "above 0"),
        (["--labeller=regions", "--labeller.kep=2"], "did you mean 'keep'"),
        (["--labeller=regions", "--words={world}/words.tsv"], "unknown field 'words'"),
        (["--labeller=regions", "--split=nosuch"], "nosuch"),
    ],
)
def test_mistakes_are_one_line(world, tmp_path, capsys, args, message):
    assert run(world, tmp_path / "labels", *(a.format(world=world) for a in args)) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


RECIPE = """
objective: {name: caption}
model:
  encoder: {name: clip, path: PATH}
  preprocess: {mode: MODE, image_px: PX}
"""


@pytest.mark.parametrize("mode", ["center_crop", "pad", "squash"])
def test_labels_like_a_recipe_are_of_the_patches_it_trains(world, tmp_path, mode):
    side = build_encoder(world).image_px
    recipe = tmp_path / "recipe.yaml"
    text = RECIPE.replace("PATH", f"{world}/clip").replace("MODE", mode)
    recipe.write_text(text.replace("PX", str(side)))
    args = ["--labeller=clip", f"--path={world}/clip", f"--words={world}/words.tsv", "--sign=1"]
    assert run(world, tmp_path / "labels", *args, f"--like=[{recipe}]") == 0
    dataset = open_dataset(world / "data")
    labels = open_labels(tmp_path / "labels", dataset)
    stage = Preprocess(mode=mode, image_px=side)
    for index in range(3):
        grid = stage.token_grid(dataset[index].size_hw, patch_px=build_encoder(world).patch_px)
        np.testing.assert_allclose(labels[index].cells_M4, grid.cells_P4)


def build_encoder(world):
    part = {"name": "clip", "path": str(world / "clip")}
    return build_part("diglot.models.encoders", part, where="encoder")


def test_a_recipe_whose_patches_are_others_is_refused(world, tmp_path, capsys):
    recipe = tmp_path / "recipe.yaml"
    args = ["--labeller=clip", f"--path={world}/clip", f"--words={world}/words.tsv", "--sign=1"]
    for mode, px, message in (
        ("squash", 448, "of another size"),
        ("tiles", 448, "one view an image"),
    ):
        text = RECIPE.replace("PATH", f"{world}/clip").replace("MODE", mode)
        recipe.write_text(text.replace("PX", str(px)))
        assert run(world, tmp_path / mode, *args, f"--like=[{recipe}]") == 2
        assert message in " ".join(capsys.readouterr().err.split())
