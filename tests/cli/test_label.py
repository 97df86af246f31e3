import json

import pytest

from diglot.cli.main import main
from diglot.data.labels import open_labels
from diglot.data.records import open_dataset, write_dataset
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
    return main(["label", f"{world}/data", f"--out={out}", *args])


def test_towers_label_a_dataset(world, tmp_path, capsys, caplog):
    args = ["--labeller=clip", f"--path={world}/clip", f"--words={world}/words.tsv"]
    args += ["--sign=1"]
    assert run(world, tmp_path / "labels", *args, "--keep=2", f"--json={tmp_path}/x.json") == 0
    labels = open_labels(tmp_path / "labels", open_dataset(world / "data"))
    found = {word for row in labels[0].words for word in row}
    assert found
    assert found <= {"dog", "red car", "guitar"}
    assert max(len(row) for row in labels[0].words) <= 2
    told = json.loads((tmp_path / "x.json").read_text())
    assert told["samples"] == 6
    assert told["sign"] == 1
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
    ("args", "told"),
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
def test_mistakes_are_told_in_one_line(world, tmp_path, capsys, args, told):
    assert run(world, tmp_path / "labels", *(a.format(world=world) for a in args)) == 2
    error = capsys.readouterr().err
    assert told in error
    assert "Traceback" not in error
