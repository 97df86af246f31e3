"""LLaVA's JSON, LLaVA-NeXT's Parquet and Cambrian's lines in their documented schema."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.data.formats.foreign import read, save_image, save_json
from tests.data.pictures import jpeg

PRETRAIN = {
    "id": "004539375",
    "image": "00453/004539375.jpg",
    "conversations": [
        {"from": "human", "value": "Render a clear and concise summary of the photo.\n<image>"},
        {"from": "gpt", "value": "select luxury furniture 3 - inch gel memory foam mattress"},
    ],
}
TEXT = {
    "id": "wgByO4Y_0",
    "model": "",
    "conversations": [
        {"from": "human", "value": "How do I say hello?"},
        {"from": "gpt", "value": "Hello."},
        {"from": "human", "value": "Thanks"},
        {"from": "gpt", "value": "Welcome."},
    ],
}


def turns(*texts: str) -> list[dict[str, str]]:
    return [{"from": ("human", "gpt")[n % 2], "value": text} for n, text in enumerate(texts)]


def read_llava(folder: Path, records: list[Any], **settings: Any) -> Any:
    save_image(folder / "00453/004539375.jpg")
    path = save_json(folder / "data.json", records)
    return read("llava_json", path=str(path), images=str(folder), **settings)


def test_pretraining_as_captions(tmp_path: Path) -> None:
    [sample], _, rejections = read_llava(tmp_path, [PRETRAIN, TEXT], captions=True)
    assert sample.caption == "select luxury furniture 3 - inch gel memory foam mattress"
    assert (sample.id, sample.is_conversation) == ("004539375", False)
    assert [r.reason for r in rejections] == ["not a caption"]


def test_instructions_as_conversations(tmp_path: Path) -> None:
    samples, _, rejections = read_llava(tmp_path, [PRETRAIN, TEXT])
    assert not rejections
    assert [len(sample.images) for sample in samples] == [1, 0]
    assert [(t.role, t.learn) for t in samples[1].turns] == [
        ("user", False),
        ("assistant", True),
    ] * 2


def test_each_bad_record_has_its_reason(tmp_path: Path) -> None:
    records = [
        PRETRAIN,
        PRETRAIN,
        PRETRAIN | {"id": "1", "image": "../data.json"},
        PRETRAIN | {"id": "2", "conversations": turns("No image", "Yes")},
        {"id": "3", "conversations": turns("<image> What?", "Yes")},
        PRETRAIN | {"id": "4", "conversations": turns("<image>", "A <image>")},
        PRETRAIN | {"id": "5", "conversations": [{"from": "bot", "value": "x"}]},
        PRETRAIN | {"id": "6", "conversations": turns("<image> What?")},
        PRETRAIN | {"id": "7", "image": "/etc/passwd"},
        ["no", "object"],
    ]
    samples, done, rejections = read_llava(tmp_path, records)
    assert len(samples) == 1
    assert [r.reason for r in rejections] == [
        "repeated id",
        "path leaves its folder",
        "turns and images do not belong together",
        "turns and images do not belong together",
        "an image cannot be learned",
        "unknown side of a conversation",
        "nothing to learn",
        "path leaves its folder",
        "record has another shape",
    ]
    assert done.rejected.total() == len(rejections)


def test_repeated_ids_can_be_numbered(tmp_path: Path) -> None:
    samples, _, _ = read_llava(tmp_path, [PRETRAIN, PRETRAIN], number_ids=True)
    assert [sample.id for sample in samples] == ["004539375@1", "004539375@2"]


def test_a_torn_line_is_one_rejection(tmp_path: Path) -> None:
    save_image(tmp_path / "a.jpg")
    good = json.dumps({"image": "a.jpg", "conversations": turns("<image>", "Yes"), "source": "x"})
    (tmp_path / "c.jsonl").write_text(f"{good}\n{good[:30]}\n\n[1]\n{good}")
    samples, done, rejections = read(
        "cambrian_jsonl", path=str(tmp_path / "c.jsonl"), images=str(tmp_path)
    )
    assert [sample.id for sample in samples] == ["row-1", "row-5"]
    assert [(r.where, r.reason) for r in rejections] == [
        ("c.jsonl:2", "not JSON (JSONDecodeError)"),
        ("c.jsonl:4", "not a record"),
    ]
    assert done.lost["sources of records"] == 2


def test_llava_next_parquet(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "image": {"bytes": jpeg(1), "path": "a.jpg"}, "data_source": "sharegpt4v"},
        {"id": "b", "image": None, "data_source": "text"},
        {"id": "c", "image": {"bytes": None, "path": "c.jpg"}, "data_source": "text"},
    ]
    for row in rows:
        row["conversations"] = turns("What?" if row["id"] == "b" else "<image>\nWhat?", "This.")
    (tmp_path / "data").mkdir()
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "data/train-00000-of-00001.parquet")
    samples, done, [rejection] = read("llava_next", path=str(tmp_path))
    assert [(s.id, len(s.images)) for s in samples] == [("a", 1), ("b", 0)]
    assert rejection.reason == "no image in the record"
    assert done.lost["sources of records"] == 2
