import io
import os
import pickle
import re
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from diglot.core.errors import ConfigError, DataError
from diglot.core.types import Lineage, Region, Rle, Sample
from diglot.data.records import open_dataset, write_dataset
from diglot.data.schema import arrow_schema, from_row, row_digest, to_row
from diglot.data.shards import FOOTERS
from tests.data.pictures import jpeg, sample


@pytest.fixture
def folder(tmp_path):
    write_dataset([sample(i) for i in range(50)], tmp_path, shard_samples=20)
    return tmp_path


def test_samples_come_back_in_any_order(folder):
    dataset = open_dataset(folder)
    assert len(dataset) == 50
    for index in np.random.default_rng(0).permutation(50):
        assert dataset[int(index)] == sample(int(index))
    assert dataset[-1] == sample(49)
    assert list(dataset) == [sample(i) for i in range(50)]
    for outside in (50, -51):
        with pytest.raises(IndexError):
            dataset[outside]


def test_columns_come_without_pictures(folder):
    dataset = open_dataset(folder)
    assert dataset.ids == [f"s-{i:04d}" for i in range(50)]
    assert dataset.sizes_hw == [((24, 32),)] * 50
    assert dataset.labels == [["dog", None]] * 50
    assert not dataset._groups


def test_columns_take_few_bytes_a_record(tmp_path):
    write_dataset([sample(i) for i in range(1000)], tmp_path)
    dataset = open_dataset(tmp_path)
    columns = (dataset.ids, dataset.sizes_hw, dataset.labels)
    held = sum(column._values.nbytes for column in columns) + dataset.conversations.nbytes
    assert held <= 100 * len(dataset)
    assert dataset.labels[990:] == [["dog", None]] * 10
    assert dataset.ids.index("s-0999") == 999


def test_footers_are_read_once_and_again_when_a_shard_was_touched(folder, monkeypatch):
    open_dataset(folder)
    monkeypatch.setattr("diglot.data.shards.read_footer", lambda path: pytest.fail("read again"))
    assert [s.samples for s in open_dataset(folder)._shards] == [20, 20, 10]
    os.utime(folder / "train-00001.parquet", ns=(1, 1))
    with pytest.raises(pytest.fail.Exception, match="read again"):
        open_dataset(folder)


def test_what_is_kept_of_footers_is_not_trusted_when_it_was_changed(folder):
    open_dataset(folder)
    kept = folder / FOOTERS
    kept.write_text(kept.read_text().replace(", [20,", ", [21,"))
    assert open_dataset(folder).shard_sizes == [20, 20, 10]
    kept.write_text("[1")
    assert open_dataset(folder).shard_sizes == [20, 20, 10]


def test_it_travels_to_other_processes(folder):
    dataset = open_dataset(folder)
    dataset[0]
    there = pickle.loads(pickle.dumps(dataset))
    assert there[33] == sample(33)
    assert there.fingerprint == dataset.fingerprint


def test_memory_holds_few_row_groups(folder):
    dataset = open_dataset(folder)
    for index in range(50):
        dataset[index]
    assert len(dataset._groups) <= 16


def test_the_fingerprint_follows_content_and_order(tmp_path):
    def fingerprint(name, samples):
        write_dataset(samples, tmp_path / name)
        return open_dataset(tmp_path / name).fingerprint

    base = fingerprint("a", [sample(0), sample(1)])
    assert base == fingerprint("b", [sample(0), sample(1)])
    others = [
        [sample(1), sample(0)],
        [sample(0)],
        [sample(0), sample(1, image=jpeg(9))],
        [sample(0), sample(1, regions=sample(1).regions[:1])],
        [sample(0), sample(1, lineage=())],
    ]
    found = {fingerprint(f"other{i}", samples) for i, samples in enumerate(others)}
    assert base not in found
    assert len(found) == len(others)


def test_datasets_reads_it_with_no_code_of_ours(folder, tmp_path):
    import datasets

    write_dataset([sample(i) for i in range(3)], folder, split="test_names")
    for loaded in (
        datasets.load_dataset(
            "parquet",
            data_files={"train": str(folder / "train-*.parquet")},
            cache_dir=str(tmp_path / "cache"),
        ),
        datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache2")),
    ):
        assert loaded["train"].num_rows == 50
        row, ours = loaded["train"][41], sample(41)
        assert isinstance(row["images"][0], Image.Image)
        assert np.array_equal(row["images"][0], Image.open(io.BytesIO(ours.image)))
        assert row["regions"][0]["span"] == [2, 11]
        assert row["regions"][0]["box"] == list(ours.regions[0].box)
        assert row["regions"][0]["mask"] == {
            "size": [24, 32],
            "counts": ours.regions[0].mask.counts,
        }
        assert row["regions"][1]["mask"] is None or row["regions"][1]["mask"]["counts"] is None
        assert row["regions"][1]["span"] is None
        assert row["lineage"][0] == {"step": "tests", "model": "", "revision": "1", "prompt": ""}
        assert [row["sizes_hw"], row["caption"]] == [[[24, 32]], ours.caption]
    assert loaded["test_names"].num_rows == 3


def test_what_datasets_writes_back_is_read(folder, tmp_path):
    import datasets

    loaded = datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"), split="train")
    (tmp_path / "back").mkdir()
    kept = loaded.select(range(5)).remove_columns("lineage")
    kept.to_parquet(str(tmp_path / "back" / "train-00000-of-00001.parquet"))
    back = open_dataset(tmp_path / "back")
    assert list(back) == [sample(i, lineage=()) for i in range(5)]
    assert len(back.fingerprint) == 64


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
inside = st.tuples(st.floats(0, 10), st.floats(0, 10), st.floats(10.5, 32), st.floats(10.5, 24))


@st.composite
def samples(draw):
    caption = draw(text)
    regions = []
    for _ in range(draw(st.integers(0, 3))):
        start, end = sorted(draw(st.tuples(*[st.integers(0, len(caption))] * 2)))
        grounded = bool(caption[start:end].strip())
        regions.append(
            Region(
                phrase=caption[start:end] if grounded else "x" + draw(text),
                span=(start, end) if grounded else None,
                box=draw(inside),
                label=draw(st.none() | text),
                mask=draw(st.none() | st.just(Rle(size_hw=(24, 32), counts="PX"))),
                score=draw(st.floats(0, 1)),
                source=draw(text),
            )
        )
    return Sample.captioned(
        id=draw(text),
        image=jpeg(0),
        size_hw=(24, 32),
        caption=caption,
        regions=tuple(regions),
        lineage=tuple(Lineage(step=step) for step in draw(st.lists(text, max_size=2))),
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(samples(), min_size=1, max_size=4))
def test_any_sample_survives_parquet(items):
    table = pa.Table.from_pylist([to_row(item) for item in items], schema=arrow_schema())
    buffer = pa.BufferOutputStream()
    pq.write_table(table, buffer)
    back = pq.read_table(pa.BufferReader(buffer.getvalue())).to_pylist()
    assert [from_row(row) for row in back] == items
    digests = {row_digest(row, i) for i, row in enumerate(back)}
    assert digests == {row_digest(to_row(item), i) for i, item in enumerate(items)}


def broken(folder, **changes):
    """A folder whose third record is changed, past the checks of a Sample."""
    rows = [to_row(sample(i)) for i in range(5)]
    region = changes.pop("region", {})
    rows[2] = rows[2] | changes
    if region:
        rows[2]["regions"][0] = rows[2]["regions"][0] | region
    folder.mkdir()
    pq.write_table(
        pa.Table.from_pylist(rows, schema=arrow_schema()), folder / "train-00000.parquet"
    )
    return open_dataset(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"region": {"box": [0.0, 0.0, 40.0, 10.0]}}, "regions[0].box: box lies outside"),
        ({"region": {"box": [5.0, 5.0, 4.0, 9.0]}}, "regions[0].box: box is empty"),
        ({"region": {"box": [0.0, float("nan"), 9.0, 9.0]}}, "regions[0].box: box is empty"),
        ({"region": {"box": [0.0, 1.0]}}, "regions[0].box: not a box"),
        ({"region": {"box": None}}, "regions[0]: region without"),
        ({"region": {"phrase": None}}, "regions[0]: region without"),
        ({"region": {"span": [0, 9]}}, "regions[0].span: span does not match"),
        ({"region": {"span": [2, 99]}}, "regions[0].span: span does not match"),
        ({"region": {"span": [2]}}, "regions[0].span: expected two integers"),
        ({"region": {"mask": {"size": [9, 9], "counts": "1"}}}, "regions[0].mask: mask and image"),
        ({"region": {"mask": {"size": None, "counts": "1"}}}, "regions[0].mask: mask without"),
        ({"images": [{"bytes": None, "path": "x.jpg"}]}, "images[0]: no picture in the record"),
        ({"images": None}, "images: field is missing"),
        ({"images": []}, "images and sizes differ in number"),
        ({"caption": None}, "caption: field is missing"),
        ({"sizes_hw": [[24, 0]]}, "image size must be positive"),
        ({"sizes_hw": [[24]]}, "sizes_hw[0]: expected two integers"),
        ({"turns": [{"role": "user", "text": None, "learn": False}]}, "turns[0]: turn without"),
        ({"turns": [{"role": "bot", "text": "x", "learn": False}]}, "turns[0].role: unknown role"),
    ],
)
def test_a_bad_record_names_its_sample_and_field(tmp_path, changes, message):
    dataset = broken(tmp_path / "d", **changes)
    with pytest.raises(DataError, match=re.escape("sample 's-0002'")) as caught:
        dataset[2]
    assert message in str(caught.value)
    assert dataset[1] == sample(1)
    assert dataset[3] == sample(3)


@pytest.mark.parametrize(
    ("box", "read", "lost"),
    [
        ([5.0, 5.0, 5.0, 9.0], None, "regions without area"),
        ([-2.0, 5.0, 0.0, 9.0], None, "regions without area"),
        ([-1.8, 5.0, 9.0, 9.0], (0.0, 5.0, 9.0, 9.0), "boxes clipped to the image"),
    ],
)
def test_a_flat_or_rounded_box_costs_no_record(tmp_path, caplog, box, read, lost):
    dataset = broken(tmp_path / "d", region={"box": box})
    made, whole = dataset[2], sample(2)
    kept = (replace(whole.regions[0], box=read),) if read else ()
    assert made == replace(whole, regions=kept + whole.regions[1:])
    assert made.lost == (lost,)
    assert dataset[2] == made
    assert caplog.text.count(f"sample 's-0002': {lost}; diglot check lists all such") == 1


def test_missing_folders_and_splits_are_named(folder, tmp_path):
    with pytest.raises(ConfigError, match="no such dataset folder"):
        open_dataset(tmp_path / "gone")
    with pytest.raises(ConfigError, match=r"no split 'test'.*one of: train"):
        open_dataset(folder, "test")
    (empty := tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="no dataset here"):
        open_dataset(empty)


def test_other_columns_are_named(tmp_path):
    path = tmp_path / "train-00000.parquet"
    pq.write_table(pa.table({"image": ["a"], "text": ["b"]}), path)
    with pytest.raises(DataError, match=r"no column 'id'.*got image, text"):
        open_dataset(tmp_path)
    table = pa.Table.from_pylist([to_row(sample(0))], schema=arrow_schema())
    pq.write_table(table.set_column(3, "caption", pa.array([7])), path)
    with pytest.raises(DataError, match=r"'caption' has another type.*string.*int64"):
        open_dataset(tmp_path)


def test_a_damaged_shard_is_named(folder):
    path = folder / "train-00001.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[:-40])
    with pytest.raises(DataError, match=r"train-00001\.parquet: the file is damaged"):
        open_dataset(folder)
    path.write_bytes(b"PAR1" + b"\xff" * 3000 + whole[3004:])
    dataset = open_dataset(folder)
    with pytest.raises(DataError, match=r"train-00001\.parquet"):
        [dataset[index] for index in range(20, 40)]


def test_swapped_or_rewritten_shards_have_another_fingerprint(folder):
    first = open_dataset(folder).fingerprint
    paths = [folder / f"train-0000{i}.parquet" for i in range(2)]
    contents = [path.read_bytes() for path in paths]
    for path, content in zip(paths, reversed(contents), strict=True):
        path.write_bytes(content)
    swapped = open_dataset(folder).fingerprint
    paths[0].write_bytes(contents[0])
    rows = pq.read_table(paths[0]).to_pylist()
    rows[3]["caption"] = "A small cat sits."
    kept = pq.read_schema(paths[0])  # with the digest of the samples before
    pq.write_table(pa.Table.from_pylist(rows, schema=kept), paths[0])
    paths[1].write_bytes(contents[1])
    rewritten = open_dataset(folder).fingerprint
    assert len({first, swapped, rewritten}) == 3
    paths[0].write_bytes(contents[0])
    assert open_dataset(folder).fingerprint == first


def test_bytes_are_read_once_for_the_fingerprint(folder, monkeypatch):
    first = open_dataset(folder).fingerprint
    monkeypatch.setattr("diglot.files.file_sha256", lambda path: pytest.fail("read again"))
    assert open_dataset(folder).fingerprint == first


def test_a_flipped_byte_is_found_when_its_page_is_read(folder):
    path = folder / "train-00001.parquet"
    content = bytearray(path.read_bytes())
    content[content.index(sample(21).image[-40:])] ^= 1
    path.write_bytes(content)
    dataset = open_dataset(folder)
    assert dataset[0] == sample(0)
    with pytest.raises(DataError, match=r"train-00001\.parquet: the file is damaged.*CRC"):
        dataset[21]


def read_resident_bytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.slow
def test_5000_shards_under_few_open_files_in_flat_memory(tmp_path):
    resource = pytest.importorskip("resource")
    write_dataset([sample(0), sample(1)], tmp_path)
    first = tmp_path / "train-00000.parquet"
    for number in range(1, 5000):
        os.link(first, tmp_path / f"train-{number:05d}.parquet")
    (tmp_path / "dataset.json").unlink()  # as others wrote it: ids come again
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(1024, hard), hard))
    try:
        dataset = open_dataset(tmp_path)
        assert len(dataset) == len(dataset.ids) == 10_000
        for index in range(0, 2000, 2):
            dataset[index]
        before = read_resident_bytes()
        for index in range(2000, 10_000, 2):
            dataset[index]
        assert read_resident_bytes() - before < 16 << 20
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_more_shards_than_a_process_may_open(tmp_path):
    resource = pytest.importorskip("resource")
    write_dataset([sample(i) for i in range(120)], tmp_path, shard_samples=1)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    there = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 64
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(there + 60, hard), hard))
    try:
        dataset = open_dataset(tmp_path)
        assert len(dataset.ids) == len(dataset.sizes_hw) == 120
        assert [dataset[i].id for i in range(120)] == dataset.ids
        assert len(dataset.fingerprint) == 64
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
