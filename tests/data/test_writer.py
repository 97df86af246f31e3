import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from diglot.core.errors import ConfigError, DataError
from diglot.data.records import DatasetWriter, open_dataset, write_dataset
from tests.data.pictures import jpeg, sample

ROOT = Path(__file__).parents[2]


def shard_bytes(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.parquet"))}


def manifest(folder):
    return json.loads((folder / "dataset.json").read_text())["splits"]


def test_the_manifest_says_how_it_was_made(tmp_path):
    write_dataset([sample(i) for i in range(5)], tmp_path, shard_samples=2, info={"seed": 3})
    entry = manifest(tmp_path)["train"]
    fingerprint = entry.pop("fingerprint")
    assert entry.pop("files") == {
        name: hashlib.sha256(content).hexdigest() for name, content in shard_bytes(tmp_path).items()
    }
    assert entry == {
        "samples": 5,
        "regions": 10,
        "shards": 3,
        "shard_samples": 2,
        "complete": True,
        "info": {"seed": 3},
    }
    assert open_dataset(tmp_path).fingerprint == fingerprint
    assert not list(tmp_path.glob(".*.tmp"))


def test_a_killed_writer_resumes_to_the_identical_dataset(tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    script = (
        "import os, signal, sys; from pathlib import Path; from tests.data.pictures import sample\n"
        "from diglot.data.records import DatasetWriter\n"
        "with DatasetWriter(Path(sys.argv[1]), shard_samples=4, info={'a': 1}) as writer:\n"
        "    for i in range(11): writer.add(sample(i))\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    path = os.pathsep.join([str(ROOT), *sys.path])
    killed = subprocess.run(
        [sys.executable, "-c", script, str(cut)], env={**os.environ, "PYTHONPATH": path}
    )
    assert killed.returncode == -signal.SIGKILL
    (cut / ".train-00002.parquet.abc.tmp").write_bytes(b"torn")
    with pytest.raises(ConfigError, match="not finished"):
        open_dataset(cut)
    assert len(open_dataset(cut, allow_incomplete=True)) == 8

    samples = [sample(i) for i in range(14)]
    write_dataset(samples, whole, shard_samples=4, info={"a": 1})
    write_dataset(iter(samples), cut, shard_samples=4, info={"a": 1})
    assert shard_bytes(whole) == shard_bytes(cut)
    assert manifest(whole) == manifest(cut)
    assert not list(cut.glob(".*.tmp"))


def test_a_failing_source_leaves_complete_shards(tmp_path):
    def failing():
        yield from (sample(i) for i in range(5))
        raise RuntimeError("source broke")

    with pytest.raises(RuntimeError):
        write_dataset(failing(), tmp_path, shard_samples=2)
    assert sorted(shard_bytes(tmp_path)) == ["train-00000.parquet", "train-00001.parquet"]
    assert not manifest(tmp_path)["train"]["complete"]


def test_a_complete_split_can_grow(tmp_path):
    write_dataset([sample(i) for i in range(3)], tmp_path / "a", shard_samples=2)
    with DatasetWriter(tmp_path / "a", shard_samples=2) as writer:
        assert list(writer.read_ids()) == ["s-0000", "s-0001", "s-0002"]
        for i in range(3, 6):
            writer.add(sample(i))
    write_dataset([sample(i) for i in range(6)], tmp_path / "b", shard_samples=4)
    grown, other = open_dataset(tmp_path / "a"), open_dataset(tmp_path / "b")
    assert list(grown) == list(other)
    assert grown.fingerprint == other.fingerprint


def test_opening_a_complete_split_again_leaves_it_complete(tmp_path):
    write_dataset([sample(i) for i in range(3)], tmp_path, shard_samples=2)
    before = manifest(tmp_path)

    def failing():
        yield from (sample(i) for i in range(4))
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        write_dataset(failing(), tmp_path, shard_samples=2)
    assert manifest(tmp_path) == before
    assert len(open_dataset(tmp_path)) == 3


def test_other_settings_are_refused(tmp_path):
    write_dataset([sample(0)], tmp_path, info={"seed": 1, "size": (1, 2)})
    write_dataset([sample(0)], tmp_path, info={"seed": 1, "size": (1, 2)})
    with pytest.raises(ConfigError, match=r"other settings: seed.*seed = 1 to add to it.*got 2"):
        write_dataset([sample(0)], tmp_path, info={"seed": 2, "size": (1, 2)})
    with pytest.raises(ConfigError, match="another size"):
        write_dataset([sample(0)], tmp_path, info={"seed": 1, "size": (1, 2)}, shard_samples=7)


def test_other_samples_are_refused(tmp_path):
    write_dataset([sample(0), sample(1)], tmp_path)
    with pytest.raises(DataError, match="not those the folder was begun with"):
        write_dataset([sample(1), sample(0)], tmp_path)


def test_shards_of_others_are_not_taken_over(tmp_path):
    (tmp_path / "train-00000.parquet").write_bytes(b"x")
    with pytest.raises(ConfigError, match="did not write"):
        write_dataset([sample(0)], tmp_path)
    assert (tmp_path / "train-00000.parquet").read_bytes() == b"x"


def test_a_missing_shard_is_noticed(tmp_path):
    write_dataset([sample(i) for i in range(6)], tmp_path, shard_samples=2)
    (tmp_path / "train-00001.parquet").unlink()
    with pytest.raises(DataError, match="shards are missing"):
        open_dataset(tmp_path)
    with (
        pytest.raises(DataError, match="missing before train-00002"),
        DatasetWriter(tmp_path, shard_samples=2),
    ):
        pass


def test_two_writers_of_one_split_are_refused(tmp_path):
    with DatasetWriter(tmp_path) as writer:
        with pytest.raises(ConfigError, match="another process"), DatasetWriter(tmp_path):
            pass
        write_dataset([sample(1)], tmp_path, split="test")
        writer.add(sample(0))
    assert manifest(tmp_path).keys() == {"train", "test"}
    assert all(entry["complete"] for entry in manifest(tmp_path).values())


def test_bad_samples_are_refused_and_the_writer_resumes(tmp_path):
    with DatasetWriter(tmp_path) as writer:
        writer.add(sample(0))
        with pytest.raises(DataError, match="'s-0000': two records with the same id"):
            writer.add(sample(0))
        with pytest.raises(DataError, match=r"'s-0001'.*sizes_hw"):
            writer.add(sample(1, image=jpeg(1, height=23)))
        with pytest.raises(DataError, match=r"'s-0001'.*not a picture"):
            writer.add(sample(1, image=b"nothing"))
        with pytest.raises(DataError, match=r"'s-0001'.*not text"):
            writer.add(sample(1, caption="A small dog \ud800"))
        with pytest.raises(DataError, match=r"'s-0001'.*cannot be read"):
            writer.add(sample(1, image=tmp_path / "gone.jpg"))
        writer.add(sample(1))
    assert list(open_dataset(tmp_path)) == [sample(0), sample(1)]


def test_a_picture_file_is_taken_in(tmp_path):
    path = tmp_path / "picture.jpg"
    path.write_bytes(jpeg(4))
    write_dataset([sample(4, image=path)], tmp_path / "out")
    assert open_dataset(tmp_path / "out")[0] == sample(4)


@pytest.mark.parametrize("split", ["", "Train", "../x", "a-b", "a/b"])
def test_odd_split_names_are_refused(tmp_path, split):
    with pytest.raises(ConfigError, match="not a split name"):
        DatasetWriter(tmp_path, split=split)


def test_a_users_readme_stays(tmp_path):
    (tmp_path / "README.md").write_text("mine")
    write_dataset([sample(0)], tmp_path)
    assert (tmp_path / "README.md").read_text() == "mine"


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match="file is a file"):
        write_dataset([sample(0)], tmp_path / "file")


def test_a_foreign_manifest_is_refused(tmp_path):
    (tmp_path / "dataset.json").write_text(
        '{"format": "diglot", "format_version": 99, "splits": {}}'
    )
    with pytest.raises(DataError, match="version up to 2"):
        write_dataset([sample(0)], tmp_path)
    (tmp_path / "dataset.json").write_text("[]")
    with pytest.raises(DataError, match=r"dataset\.json"):
        write_dataset([sample(0)], tmp_path)


def test_what_is_no_sample_is_named(tmp_path):
    with pytest.raises(DataError, match=r"record 1: not a Sample.*got dict"):
        write_dataset([sample(0), {"id": "1"}], tmp_path / "a")
    with pytest.raises(DataError, match="one Sample in place of many"):
        write_dataset(sample(0), tmp_path / "b")
