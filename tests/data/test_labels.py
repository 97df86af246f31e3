"""Patch labels beside a dataset: whole or not at all, resumed, and never another dataset's."""

import json
import pickle

import numpy as np
import pytest

from diglot.core.errors import ConfigError, DataError
from diglot.core.preprocess import Preprocess
from diglot.data.labels import LabelWriter, open_labels
from diglot.data.records import open_dataset, write_dataset
from tests.tiny_folders import tiny_samples

WORDS = ("dog", "red car", "Straße", "x")
GRID = {"preprocess": Preprocess(image_px=32), "patch_px": 16}  # 2 x 2 patches


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("labelled")
    write_dataset(tiny_samples(11), folder, shard_samples=4)
    return open_dataset(folder)


def writer(folder, dataset, *, words=WORDS, about="test", **grid):
    return LabelWriter(folder, dataset, words=words, about={"by": about}, **GRID | grid)


def row(index):
    numbers = [[index % 4, (index + 1) % 4], [], [3], [index % 4]]
    return numbers, [[0.5, 0.25], [], [1.0], [0.125 * (index + 1)]]


def fill(opened, stop):
    for index in range(opened.done, stop):
        opened.add(*row(index))


def assert_filled(folder, dataset):
    labels = open_labels(folder, dataset)
    assert len(labels) == len(dataset) == 11
    for index, found in enumerate(labels):
        numbers, scores = row(index)
        assert found.words == tuple(tuple(WORDS[n] for n in patch) for patch in numbers)
        assert found.scores == tuple(map(tuple, scores))
        grid = GRID["preprocess"].token_grid(dataset[index].size_hw, patch_px=16)
        assert np.array_equal(found.cells_M4, grid.cells_P4)


def test_what_is_written_is_read(tmp_path, dataset):
    with writer(tmp_path, dataset) as opened:
        fill(opened, 11)
    assert_filled(tmp_path, dataset)
    assert [p.name for p in sorted(tmp_path.glob("*.parquet"))] == [
        f"train-0000{i}.parquet" for i in range(3)
    ]


def test_a_stopped_writer_resumes_after_its_whole_shards(tmp_path, dataset):
    with writer(tmp_path, dataset) as opened:
        fill(opened, 6)  # leaves the block with a shard and a half
    with pytest.raises(ConfigError, match="unfinished labels of split 'train'"):
        open_labels(tmp_path, dataset)
    with writer(tmp_path, dataset) as opened:
        assert opened.done == 4
        fill(opened, 11)
    assert_filled(tmp_path, dataset)
    whole = open_labels(tmp_path, dataset).fingerprint
    with writer(tmp_path, dataset) as opened:
        assert opened.done == 11
    assert open_labels(tmp_path, dataset).fingerprint == whole


def test_labels_travel_to_other_processes(tmp_path, dataset):
    with writer(tmp_path, dataset) as opened:
        fill(opened, 11)
    labels = open_labels(tmp_path, dataset)
    assert pickle.loads(pickle.dumps(labels))[9].words == labels[9].words


def test_a_sample_without_patches_could_not_be_labelled(tmp_path, dataset):
    with writer(tmp_path, dataset) as opened:
        fill(opened, 10)
        opened.add([], [])
    with pytest.raises(DataError, match="could not be labelled") as error:
        open_labels(tmp_path, dataset)[10]
    assert dataset.ids[10] in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"words": ("dog",)}, "other words"),
        ({"about": "else"}, "another way"),
        ({"patch_px": 8}, "another way"),
    ],
)
def test_a_folder_holds_labels_of_one_kind(tmp_path, dataset, change, message):
    with writer(tmp_path, dataset) as opened:
        fill(opened, 5)
    with pytest.raises(ConfigError, match=message), writer(tmp_path, dataset, **change):
        pass


def test_labels_of_another_dataset_are_refused(tmp_path, dataset):
    with writer(tmp_path / "labels", dataset) as opened:
        fill(opened, 11)
    write_dataset(tiny_samples(11, seed=50), tmp_path / "other")
    other = open_dataset(tmp_path / "other")
    with pytest.raises(ConfigError, match="labels of another dataset"):
        open_labels(tmp_path / "labels", other)
    opened = writer(tmp_path / "labels", other)
    with pytest.raises(ConfigError, match="labels of another dataset"), opened:
        pass


def test_a_datasets_own_folder_is_left_alone(tmp_path):
    write_dataset(tiny_samples(3), tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with (
        pytest.raises(ConfigError, match="Parquet files that are no labels"),
        writer(tmp_path, open_dataset(tmp_path)),
    ):
        pass
    assert before.items() <= {p.name: p.read_bytes() for p in tmp_path.iterdir()}.items()
    assert not (tmp_path / "labels.json").exists()


def test_mistakes_are_named(tmp_path, dataset):
    with pytest.raises(ConfigError, match=r"no patch labels here.*diglot label"):
        open_labels(tmp_path, dataset)
    with pytest.raises(DataError, match="not a word"), writer(tmp_path, dataset, words=("a\nb",)):
        pass
    (tmp_path / "labels.json").write_text(json.dumps({"format": "other"}))
    with pytest.raises(DataError, match="not labels that this version knows"):
        open_labels(tmp_path, dataset)


def damage(path, how):
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.unlink()
    if how != "lost":
        path.write_bytes(content if how == "flipped" else b"")


@pytest.mark.parametrize("how", ["lost", "empty", "flipped"])
def test_a_damaged_shard_is_not_sealed(tmp_path, dataset, how):
    with writer(tmp_path, dataset) as opened:
        fill(opened, 9)
    damage(tmp_path / "train-00000.parquet", how)
    opened = writer(tmp_path, dataset)
    with pytest.raises(DataError, match="train-00000"), opened:
        pass
    assert not json.loads((tmp_path / "labels.json").read_text())["splits"]["train"]["complete"]


def test_a_lost_last_shard_and_damaged_words_are_made_again(tmp_path, dataset):
    with writer(tmp_path, dataset) as opened:
        fill(opened, 11)
    names = ("train-00002.parquet", "words.txt", "labels.json")
    contents = [(tmp_path / name).read_bytes() for name in names]
    for name in names[:2]:
        damage(tmp_path / name, "lost")
    with writer(tmp_path, dataset) as opened:
        assert opened.done == 8
        fill(opened, 11)
    assert [(tmp_path / name).read_bytes() for name in names] == contents
    for how in ("empty", "flipped"):
        damage(tmp_path / "words.txt", how)
        with pytest.raises(DataError, match=r"words\.txt"):
            open_labels(tmp_path, dataset)
        with writer(tmp_path, dataset):
            pass
        assert (tmp_path / "words.txt").read_bytes() == contents[1]


def test_labels_that_were_damaged_later_are_not_opened(tmp_path, dataset):
    with writer(tmp_path, dataset) as opened:
        fill(opened, 11)
    path = tmp_path / "train-00001.parquet"
    content = bytearray(path.read_bytes())
    content[20] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"train-00001\.parquet: the file is not as it was"):
        open_labels(tmp_path, dataset)
