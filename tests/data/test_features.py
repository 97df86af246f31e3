"""The cache of frozen features: right values, right size, whole after a kill."""

import os
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from diglot.core.errors import ConfigError, DataError
from diglot.core.geometry import TokenGrid, View
from diglot.data import features
from diglot.data.features import FeatureCache, FeatureSpec, sample_picture
from diglot.data.records import open_dataset, write_dataset
from diglot.data.rejected import Rejected
from diglot.data.schema import arrow_schema, to_row
from tests.data.pictures import jpeg, sample

WIDTH = 3


def grid_of(size_hw) -> TokenGrid:
    """Two views of 8-px cells: the picture itself, and one a quarter of its area."""
    views = []
    for scale in (1, 2):
        h, w = size_hw[0] // scale, size_hw[1] // scale
        views.append(
            View(resize_hw=(h, w), window=(0, 0, w, h), grid_hw=(h // 8, w // 8), cell_px=8)
        )
    return TokenGrid(size_hw, tuple(views))


def encode(pictures) -> list[list[torch.Tensor]]:
    """The mean colour of every cell; not to be represented in float16."""
    return [
        [cells(picture, view) for view in grid_of((picture.height, picture.width)).views]
        for picture in pictures
    ]


def cells(picture: Image.Image, view: View) -> torch.Tensor:
    pixels = np.asarray(picture.resize(view.resize_hw[::-1]), np.float32) / 255
    h, w = view.grid_hw
    return torch.from_numpy(pixels[: h * 8, : w * 8].reshape(h, 8, w, 8, 3).mean((1, 3)))


SPEC = FeatureSpec(key="k", grid_of=grid_of, width=WIDTH, dtype="float32")


@pytest.fixture
def dataset(tmp_path):
    sizes = [(24, 32), (48, 16), (16, 16)]
    samples = []
    for i in range(11):
        h, w = sizes[i % 3]
        samples.append(sample(i, image=jpeg(i, h, w), size_hw=(h, w), regions=()))
    write_dataset(samples, tmp_path / "data")
    return open_dataset(tmp_path / "data")


def fill(cache, tmp_path, encoder=encode):
    rejected = Rejected(tmp_path / "rejected.jsonl")
    cache.make_room()
    return list(cache.build(encoder, rejected)), rejected


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_what_is_encoded_comes_back(dataset, tmp_path, dtype):
    cache = FeatureCache(tmp_path / "cache", dataset, replace(SPEC, dtype=dtype))
    assert cache.missing() == list(range(11))
    done, rejected = fill(cache, tmp_path)
    assert done == [8, 3]
    assert not len(rejected)
    assert cache.missing() == []
    for i in (0, 1, 2, 10):
        encoded = encode([sample_picture(dataset[i])])[0]
        views = cache.views(i)
        assert [v.shape for v in views] == [v.shape for v in encoded]
        assert all(v.dtype == torch.float32 for v in views)
        for view, wanted in zip(views, encoded, strict=True):
            exact = wanted if dtype == "float32" else wanted.half().float()
            assert torch.equal(view, exact)


def test_the_size_is_that_of_the_file(dataset, tmp_path):
    cells = sum(len(grid_of(size)) for (size,) in dataset.sizes_hw)
    for dtype, size in (("float16", 2), ("float32", 4)):
        cache = FeatureCache(tmp_path / "cache", dataset, replace(SPEC, dtype=dtype))
        assert cache.size_bytes == cells * WIDTH * size
        cache.make_room()
        file = cache.folder / "features.bin"
        assert file.stat().st_size == cache.size_bytes
        assert file.stat().st_blocks * 512 >= cache.size_bytes  # not sparse: its room is taken


def test_views_are_not_windows_on_the_file(dataset, tmp_path):
    cache = FeatureCache(tmp_path / "cache", dataset, SPEC)
    fill(cache, tmp_path)
    cache.views(0)[0].zero_()
    assert cache.views(0)[0].abs().sum() > 0


def test_a_killed_build_is_resumed(dataset, tmp_path):
    encoded_counts = []

    def counting(pictures):
        encoded_counts.append(len(pictures))
        return encode(pictures)

    cache = FeatureCache(tmp_path / "cache", dataset, SPEC)
    cache.make_room()
    child = os.fork()
    if child == 0:  # dies after the first eight
        next(cache.build(encode, Rejected(tmp_path / "rejected.jsonl")))
        os.kill(os.getpid(), 9)
    os.waitpid(child, 0)
    again = FeatureCache(tmp_path / "cache", dataset, SPEC)
    assert again.missing() == [8, 9, 10]
    done, _ = fill(again, tmp_path, counting)
    assert done == encoded_counts == [3]
    for i in range(11):
        encoded = encode([sample_picture(dataset[i])])[0]
        assert all(torch.equal(a, b) for a, b in zip(again.views(i), encoded, strict=True))


def test_a_build_that_fails_leaves_no_mark(dataset, tmp_path):
    def failing(pictures):
        raise RuntimeError("out of memory")

    cache = FeatureCache(tmp_path / "cache", dataset, SPEC)
    with pytest.raises(RuntimeError, match="out of memory"):
        fill(cache, tmp_path, failing)
    assert cache.missing() == list(range(11))
    with pytest.raises(DataError, match="no features of its image"):
        cache.views(0)


def test_shares_of_processes_make_the_whole(dataset, tmp_path):
    caches = [FeatureCache(tmp_path / "cache", dataset, SPEC) for _ in range(3)]
    caches[0].make_room()
    rejected = Rejected(tmp_path / "rejected.jsonl")
    builds = [c.build(encode, rejected, process=i, processes=3) for i, c in enumerate(caches)]
    assert [sum(build) for build in builds] == [4, 4, 3]
    assert all(cache.missing() == [] for cache in caches)


@pytest.mark.parametrize(
    "change", [{"key": "other"}, {"dtype": "float16"}, {"width": 4}], ids=lambda c: next(iter(c))
)
def test_another_encoder_is_another_cache(dataset, tmp_path, change):
    mine = FeatureCache(tmp_path / "cache", dataset, SPEC)
    fill(mine, tmp_path)
    other = FeatureCache(tmp_path / "cache", dataset, replace(SPEC, **change))
    assert other.folder != mine.folder
    assert len(other.missing()) == 11


def test_other_data_is_another_cache(dataset, tmp_path):
    write_dataset([sample(90, regions=())], tmp_path / "other")
    other = open_dataset(tmp_path / "other")
    folders = {FeatureCache(tmp_path, d, SPEC).folder for d in (dataset, other)}
    assert len(folders) == 2


def test_no_room_on_the_disk(dataset, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    cache = FeatureCache(tmp_path / "cache", dataset, SPEC)
    free = cache.size_bytes - 1
    monkeypatch.setattr(features.shutil, "disk_usage", lambda path: usage(0, 0, free))
    with pytest.raises(ConfigError, match="does not fit on the disk") as error:
        cache.make_room()
    assert str(tmp_path / "cache") in str(error.value)
    assert not list((tmp_path / "cache").iterdir())


def test_two_runs_that_make_room_at_once(dataset, tmp_path):
    caches = [FeatureCache(tmp_path / "cache", dataset, SPEC) for _ in range(2)]
    left_over = tmp_path / "cache" / f".{caches[0].folder.name}.99.tmp"
    left_over.mkdir(parents=True)  # of a run that was killed
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(FeatureCache.make_room, caches))
    fill(caches[1], tmp_path)
    caches[0].make_room()
    assert caches[0].missing() == []  # the other one's work is kept
    names = [p.name for p in (tmp_path / "cache").iterdir() if not p.name.startswith(".")]
    assert names == [caches[0].folder.name]


def whole_cache(dataset, tmp_path):
    cache = FeatureCache(tmp_path / "cache", dataset, SPEC)
    fill(cache, tmp_path)
    files = {p: p.read_bytes() for p in sorted(cache.folder.iterdir())}
    return cache, files


def flipped(content, at):
    changed = bytearray(content)
    changed[at] ^= 1
    return bytes(changed)


DAMAGES = {
    "empty": lambda content: b"",
    "cut": lambda content: content[: len(content) // 2],
    "zeroed": lambda content: bytes(len(content)),
    "flipped": lambda content: flipped(content, len(content) // 2),
    "flipped at the end": lambda content: flipped(content, -1),
}


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("name", ["features.bin", "marks.bin"])
def test_what_is_damaged_is_made_again_bit_by_bit(dataset, tmp_path, name, how):
    cache, files = whole_cache(dataset, tmp_path)
    path = cache.folder / name
    path.write_bytes(DAMAGES[how](files[path]))
    again = FeatureCache(tmp_path / "cache", dataset, SPEC)
    assert 0 < len(again.missing()) <= 11
    fill(again, tmp_path)
    assert {p: p.read_bytes() for p in files} == files


def test_in_a_large_cache_the_sample_is_named_when_it_is_read(dataset, tmp_path, monkeypatch):
    cache, files = whole_cache(dataset, tmp_path)
    path = cache.folder / "features.bin"
    path.write_bytes(flipped(files[path], 0))
    monkeypatch.setattr(features, "CHECKED_BYTES", 0)
    again = FeatureCache(tmp_path / "cache", dataset, SPEC)
    assert len(again.views(1)) == 2
    with pytest.raises(ConfigError, match=r"features\.bin.*'s-0000' are damaged.*again") as error:
        again.views(0)
    assert "delete" not in str(error.value)
    assert again.missing() == [0]
    fill(again, tmp_path)
    assert path.read_bytes() == files[path]


def test_bad_pictures_are_rejected_and_reported_again(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    payloads = [to_row(sample(i, regions=())) for i in range(6)]
    payloads[1]["images"] = [{"bytes": b"no picture"}]
    payloads[2]["sizes_hw"] = [[16, 16]]
    payloads[3]["sizes_hw"] = None
    payloads[4]["sizes_hw"] = [[0, 5]]
    (tmp_path / "data").mkdir()
    table = pa.Table.from_pylist(payloads, schema=arrow_schema())
    pq.write_table(table, tmp_path / "data" / "train-00000.parquet")
    dataset = open_dataset(tmp_path / "data")
    assert dataset.sizes_hw[3] == ((0, 0),)
    cache = FeatureCache(tmp_path / "cache", dataset, SPEC)
    _, rejected = fill(cache, tmp_path)
    assert rejected.counts == {
        "not a picture": 1,
        "image and record differ in size": 1,
        "field is missing": 1,
        "image size must be positive": 1,
    }
    assert cache.missing() == []
    for i, reason in (
        (1, "not a picture"),
        (2, "differ in size"),
        (3, "is missing"),
        (4, "positive"),
    ):
        with pytest.raises(DataError, match=reason):
            cache.views(i)
    assert len(cache.views(5)) == 2
