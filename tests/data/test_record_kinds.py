"""Captioned images and conversations in one dataset, format 1, and what pandas writes."""

import re
import shutil
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from diglot.core.errors import ConfigError
from diglot.core.types import Lineage, Region, Sample, Turn
from diglot.data.records import DatasetWriter, open_dataset, write_dataset
from diglot.data.schema import arrow_schema, to_row
from tests.data.pictures import jpeg, sample

# Three records, two a shard, written by the last revision that wrote format 1.
FORMAT_1 = Path(__file__).parent / "format_1"


def talk(index: int, images: int = 2) -> Sample:
    return Sample(
        id=f"c-{index}",
        images=tuple(jpeg(index + n) for n in range(images)),
        sizes_hw=((24, 32),) * images,
        turns=(
            Turn(role="system", text="Be brief."),
            Turn(role="user", text="<image>" * images + "Well?"),
            Turn(role="assistant", text="A small dog.", learn=True),
        ),
        regions=(Region(phrase="small dog", box=(1.0, 1.0, 9.0, 9.0), span=(2, 11), turn=2),)
        if images
        else (),
        lineage=(Lineage(step="qa", model="a/b", revision="r", prompt="abc"),),
    )


MIXED = [sample(0), talk(1), sample(2), talk(3, images=0), talk(4, images=1)]


def test_both_kinds_in_one_dataset(tmp_path):
    write_dataset(MIXED, tmp_path, shard_samples=2)
    dataset = open_dataset(tmp_path)
    assert list(dataset) == MIXED
    size = (24, 32)
    assert dataset.sizes_hw == [(size,), (size, size), (size,), (), (size,)]
    assert dataset.labels == [["dog", None], [None], ["dog", None], [], [None]]


def test_datasets_reads_both_kinds(tmp_path):
    import datasets

    write_dataset(MIXED, tmp_path / "d")
    loaded = datasets.load_dataset(
        str(tmp_path / "d"), cache_dir=str(tmp_path / "cache"), split="train"
    )
    assert [len(images) for images in loaded["images"]] == [1, 2, 1, 0, 1]
    assert loaded[1]["turns"][2] == {"role": "assistant", "text": "A small dog.", "learn": True}
    assert loaded[1]["caption"] is None
    assert loaded[1]["regions"][0]["turn"] == 2


def test_format_1_still_opens(tmp_path):
    shutil.copytree(FORMAT_1, tmp_path / "d")  # opening keeps digests beside the shards
    dataset = open_dataset(tmp_path / "d")
    assert len(dataset) == 3
    assert dataset.sizes_hw == [((6, 8),)] * 3
    assert dataset.labels == [["dog", None]] * 3
    assert [s.caption for s in dataset] == [f"A small dog and number {i}." for i in range(3)]
    first = dataset[0]
    assert first.size_hw == (6, 8)
    assert first.regions[0].span == (2, 11)
    assert first.lineage == (Lineage(step="scenes", revision="v1"),)
    # of the shards' bytes; what it was before said nothing of their order
    assert re.fullmatch("[0-9a-f]{64}", dataset.fingerprint)
    shard = next((tmp_path / "d").glob("train-*.parquet"))
    shutil.copy(shard, tmp_path / "d" / "train-00009.parquet")
    assert open_dataset(tmp_path / "d", allow_incomplete=True).fingerprint != dataset.fingerprint


def test_format_1_is_not_added_to(tmp_path):
    shutil.copytree(FORMAT_1, tmp_path / "d")
    with DatasetWriter(tmp_path / "d", shard_samples=2, info={"seed": 1}) as writer:
        assert len(writer) == 3
    assert len(open_dataset(tmp_path / "d")) == 3
    with (
        pytest.raises(ConfigError, match="format 1, which can be read and no longer written"),
        DatasetWriter(tmp_path / "d", shard_samples=2, info={"seed": 1}) as writer,
    ):
        writer.add(sample(7))


def test_columns_of_nulls_as_pandas_writes_them(tmp_path):
    rows = [to_row(sample(i, regions=(), lineage=())) for i in range(3)]
    frame = pd.DataFrame(rows).assign(lineage=None, turns=None, regions=None)
    frame.to_parquet(tmp_path / "train-00000.parquet")
    assert pa.types.is_null(pq.read_schema(tmp_path / "train-00000.parquet").field("turns").type)
    dataset = open_dataset(tmp_path)
    assert list(dataset) == [sample(i, regions=(), lineage=()) for i in range(3)]
    assert dataset.labels == [[], [], []]
    nested = [row | {"regions": [], "turns": []} for row in rows]
    pd.DataFrame(nested).to_parquet(tmp_path / "train-00000.parquet")
    again = open_dataset(tmp_path)
    assert list(again) == list(dataset)
    assert again.labels == [[], [], []]


def test_a_dataset_of_others_needs_few_columns(tmp_path):
    table = pa.Table.from_pylist([to_row(sample(0))], schema=arrow_schema())
    few = table.select(["id", "images", "sizes_hw", "caption"])
    pq.write_table(few, tmp_path / "train-00000.parquet")
    assert open_dataset(tmp_path)[0] == sample(0, regions=(), lineage=())
